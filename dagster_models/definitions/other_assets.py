"""The assets of others that ``load_project`` is given: their keys, their tables, their outputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from dagster import AssetKey, AssetsDefinition, AssetSpec, OpDefinition

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.model import Key, Location, Relation, Source
from dagster_models.execution.step_functions import step_behind

OtherAsset = AssetsDefinition | AssetSpec

#: A part of a table's name: quoted, as some dialect does it, or bare.
_PART = re.compile(r'"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\]|([^."`\[]+)')


def specs_of(assets: Sequence[OtherAsset]) -> Iterator[AssetSpec]:
    """The specs of all assets.

    Raises:
        TypeError: one of them is something else, e.g. a list of assets.
    """
    for asset in assets:
        if not hasattr(asset, "specs") and not hasattr(asset, "metadata"):  # as SourceAsset has
            raise TypeError(
                f"load_project(assets=...) takes assets and asset specs, not {asset!r:.200}. Unpack"
                " a list of them with `*`; add resources, jobs and sensors with Definitions.merge"
            )
        yield from asset.specs if isinstance(asset, AssetsDefinition) else [asset]


def tables_of(assets: Sequence[OtherAsset]) -> list[Source]:
    """The assets with a table name in their metadata, as sources."""
    found = []
    for spec in specs_of(assets):
        table = spec.metadata.get("dagster/table_name")
        name = getattr(table, "value", table)
        parts = name_parts(name) if isinstance(name, str) else ()
        if parts:
            *outer, last = parts
            catalog = outer[-2] if len(outer) > 1 else None
            schema = outer[-1] if outer else "main"
            place = Location("(Dagster asset)")
            relation = Relation(schema, last, catalog)
            key = tuple(spec.key.path)
            found.append(Source(Key(schema, last), relation, place, asset_key=key))
    return found


def name_parts(name: str) -> tuple[str, ...]:
    """The parts of a table's name without their quotes: ``db."My Schema".t`` has three."""
    found = []
    for quoted, ticked, bracketed, bare in _PART.findall(name):
        part = quoted.replace('""', '"') or ticked.replace("``", "`") or bracketed or bare.strip()
        found.append(part)
    return tuple(filter(None, found))


def step_of(asset: OtherAsset) -> TargetStep | None:
    """The step of ours, of whatever project, that the asset is; None if it is none."""
    op = asset.node_def if _is_executable(asset) else None
    return step_behind(op) if isinstance(op, OpDefinition) else None


def run_with_the_project(asset: OtherAsset) -> bool:
    """Whether the jobs of a project that is given *asset* may run it: they leave the steps of
    another project to the jobs of that one."""
    return step_of(asset) is None


def executable_keys(assets: Sequence[OtherAsset]) -> set[AssetKey]:
    """The keys of the assets that a run can build, which sources are not."""
    return {key for asset in assets if _is_executable(asset) for key in asset.keys}


def dynamic_keys(assets: Sequence[OtherAsset]) -> set[AssetKey]:
    """The keys of the assets whose graph has dynamic outputs."""
    return {
        key
        for asset in assets
        if _is_executable(asset)
        for op in asset.node_def.iterate_op_defs()
        if any(output.is_dynamic for output in op.output_defs)
        for key in asset.keys
    }


def _is_executable(asset: OtherAsset) -> TypeGuard[AssetsDefinition]:
    return isinstance(asset, AssetsDefinition) and asset.is_executable
