"""Make asset definitions quickly, and find out whether a selection of assets is empty."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    BackfillPolicy,
    DagsterInvalidSubsetError,
    In,
    Nothing,
    OpDefinition,
    Out,
    RetryPolicy,
    multi_asset,
)
from dagster._core.definitions.assets.definition.asset_spec import (
    SYSTEM_METADATA_KEY_DAGSTER_TYPE,
    SYSTEM_METADATA_KEY_IO_MANAGER_KEY,
    AssetExecutionType,
)
from dagster._core.definitions.assets.definition.assets_definition import (
    stringify_asset_key_to_input_name,
)
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.decorators.decorator_assets_definition_builder import (
    create_check_specs_by_output_name,
)
from dagster._core.definitions.decorators.op_decorator import DecoratedOpFunction
from dagster._core.definitions.definition_config_schema import (
    convert_user_facing_definition_config_schema,
)
from dagster._utils.warnings import disable_dagster_warnings

#: Dagster builds several models in one run of a range only if all have this policy, also those that
#: have no partitions.
_ONE_RUN = BackfillPolicy.single_run()


def asset_of(
    compute: Callable[..., Any],
    name: str,
    spec: AssetSpec,
    check_specs: Sequence[AssetCheckSpec],
    retry_policy: RetryPolicy | None,
    pool: str | None,
    op_tags: Mapping[str, str],
) -> AssetsDefinition:
    """The definition that ``multi_asset`` would make of one asset that *compute* (context) builds.

    The decorator inspects *compute*'s signature several times to find out what is already known
    here, which takes half of its time. The code below repeats what
    ``DecoratorAssetsDefinitionBuilder.from_multi_asset_specs`` does. The decorator is still used if
    the spec has something that only a user's own translator can add. A run may select only checks.
    """
    if _needs_the_decorator(spec):
        return multi_asset(
            name=name,
            specs=[spec],
            check_specs=check_specs,
            retry_policy=retry_policy,
            pool=pool,
            op_tags=op_tags,
            backfill_policy=_ONE_RUN,
            can_subset=bool(check_specs),
        )(compute)
    keys = _inputs(dep.asset_key for dep in spec.deps if dep.asset_key != spec.key)
    output = spec.key.to_python_identifier()
    checks = create_check_specs_by_output_name(check_specs)
    with disable_dagster_warnings():
        op = OpDefinition(
            DecoratedOpFunction(compute),
            name=name,
            ins=dict.fromkeys(keys, _NOTHING),
            outs={output: _out_of(spec, bool(checks)), **dict.fromkeys(checks, _CHECK)},
            config_schema=_NO_CONFIG,
            tags=op_tags,
            retry_policy=retry_policy,
            pool=pool,
        )
        functools.update_wrapper(op, compute)
        return AssetsDefinition.dagster_internal_init(
            keys_by_input_name=keys,
            keys_by_output_name={output: spec.key},
            node_def=op,
            can_subset=bool(checks),
            resource_defs={},
            backfill_policy=_ONE_RUN,
            check_specs_by_output_name=checks,
            specs=[spec],
            hook_defs=frozenset(),
            is_subset=False,
            selected_asset_keys=None,
            selected_asset_check_keys=None,
            execution_type=AssetExecutionType.MATERIALIZATION,
        )


def checks_of_asset(
    compute: Callable[..., Any],
    name: str,
    check_specs: Sequence[AssetCheckSpec],
    reads: Sequence[AssetKey],
) -> AssetChecksDefinition:
    """The definition that ``multi_asset_check`` would make of checks that *compute* (context) runs,
    of an asset that it does not build. *reads* are the assets that must be there."""
    keys = _inputs(reads)
    checks = create_check_specs_by_output_name(check_specs)
    op = OpDefinition(
        DecoratedOpFunction(compute),
        name=name,
        ins=dict.fromkeys(keys, _NOTHING),
        outs=dict.fromkeys(checks, _CHECK),
        config_schema=_NO_CONFIG,
    )
    functools.update_wrapper(op, compute)
    found: AssetChecksDefinition = AssetChecksDefinition.create(
        node_def=op,
        keys_by_input_name=keys,
        check_specs_by_output_name=checks,
        can_subset=True,
    )
    return found


def _inputs(keys: Iterable[AssetKey]) -> dict[str, AssetKey]:
    return {stringify_asset_key_to_input_name(key).replace("-", "_"): key for key in keys}


_NOTHING = In(dagster_type=Nothing)
_CHECK = Out(None, is_required=False)
#: All assets share this one, because it is frozen and making one for each asset is costly.
_NO_CONFIG = convert_user_facing_definition_config_schema({})


def _out_of(spec: AssetSpec, can_subset: bool) -> Out:
    """``can_subset``: a run may select only checks of the asset."""
    return Out(
        Nothing,
        description=spec.description,
        is_required=not (spec.skippable or can_subset),
        metadata=spec.metadata,
        code_version=spec.code_version,
    )


def _needs_the_decorator(spec: AssetSpec) -> bool:
    stored = {SYSTEM_METADATA_KEY_IO_MANAGER_KEY, SYSTEM_METADATA_KEY_DAGSTER_TYPE}
    return not stored.isdisjoint(spec.metadata)


class Selections:
    """Resolves asset selections over one graph of assets.

    The graph is made for the first selection. Dagster's public method makes a new one for each job.
    """

    def __init__(self, assets: Sequence[AssetsDefinition | AssetSpec]) -> None:
        self._assets = assets
        self._graph: AssetGraph | None = None

    def resolve(self, selection: AssetSelection) -> tuple[Set[AssetKey], Set[AssetCheckKey], str]:
        """The assets and checks that *selection* selects, and why there are no assets."""
        if self._graph is None:
            self._graph = AssetGraph.from_assets(
                AssetsDefinition(specs=[a]) if isinstance(a, AssetSpec) else a for a in self._assets
            )
        try:
            found = selection.resolve(self._graph)
            checks = selection.resolve_checks(self._graph)
        except DagsterInvalidSubsetError as error:
            return frozenset(), frozenset(), str(error).partition(". ")[0]
        return found, checks, "" if found else "no asset that a job can run is in it"
