"""A project folder as Dagster definitions: one asset and one step per model, seed and script."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path

from dagster import (
    AssetsDefinition,
    AssetSpec,
    DagsterError,
    Definitions,
    PartitionsDefinition,
)

from dagster_models._dagster.assets import asset_of
from dagster_models._dagster.partitions import definition_of
from dagster_models.compilation.tasks import TargetStep, warehouse_address
from dagster_models.core.model import (
    Config,
    Location,
    Project,
    Source,
    Step,
    Target,
)
from dagster_models.core.step_keys import checked_prefix, node_name
from dagster_models.core.tags import values_by_tag
from dagster_models.definitions.checks import check_spec, source_checks
from dagster_models.definitions.column_metadata import Moved, asset_key
from dagster_models.definitions.compute import compute_function
from dagster_models.definitions.given_keys import following, moved_keys, same_keys
from dagster_models.definitions.jobs import ProjectJobs
from dagster_models.definitions.loading import load_files
from dagster_models.definitions.other_assets import OtherAsset, specs_of, tables_of
from dagster_models.definitions.partitioned_jobs import unmapped
from dagster_models.definitions.resource import WarehouseResource
from dagster_models.definitions.stock_event_log import warn_of_stock_event_log
from dagster_models.definitions.translator import ModelsTranslator
from dagster_models.errors import Problem, ProjectError
from dagster_models.execution.options import retry_policy
from dagster_models.project.broken import with_errors
from dagster_models.project.problems import errors_of, problem
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.project.targets import usable_target
from dagster_models.util.gc_tuning import a_load, rare_collections

logger = logging.getLogger("dagster_models")

_PARTITIONED = (
    "the translator gives {key} a partitions_def, and the model has {other}: a run of one partition"
    " would build {what} of it"
)
_GO_ON = "The steps of these files fail with these errors. All others can be run."
_NOT_PARTITIONED = "Leave it out: `partitions:` of the model decides."


@a_load()
def load_project(
    path: str | Path,
    *,
    assets: Sequence[AssetsDefinition | AssetSpec] = (),
    translator: ModelsTranslator | None = None,
    key_prefix: str | Sequence[str] | None = None,
    resource_key: str | None = None,
) -> Definitions:
    """Load a project folder as Dagster definitions.

    Args:
        path: the folder that holds ``dagster_models.yaml`` and ``models/``.
        assets: other Dagster assets of this code location. They become part of the result. A model
            depends on such an asset if its SQL names the table that the asset's metadata has as
            ``dagster/table_name``.
        translator: decides how Dagster shows the steps as assets.
        key_prefix: goes before the asset keys of models and sources, and before the names of ops,
            jobs and schedules. If several projects share a code location (``Definitions.merge``),
            it keeps them apart. Default: the ``key_prefix`` of ``dagster_models.yaml``.
        resource_key: the key of the project's WarehouseResource. Default: ``warehouse``; with a
            key prefix ``<prefix>_warehouse``, as each project of a code location needs its own.

    Returns:
        Definitions with the assets, their checks, the jobs and schedules of
        ``dagster_models.yaml``, which run under ``models_executor``, and the resource
        ``resource_key``. They have no executor: other jobs of the code location, and runs without a
        job, keep the location's own. ``Definitions(executor=models_executor)``, merged with these,
        makes models_executor the executor of them all.

    An error in one file does not stop the others: its asset is there, and its step fails with that
    error. All errors are in one warning of the logger ``dagster_models``. With ``load: strict`` in
    ``dagster_models.yaml`` any error is raised instead.

    Raises:
        ProjectError: all problems in one report, if one is of the whole project.
        TypeError: *assets* holds something other than assets, e.g. a list of them.
        ValueError: *key_prefix* has other characters than letters, digits and _.
    """
    project = loaded(path, assets, key_prefix)
    target = usable_target(project)
    warn_of_stock_event_log(len(project.steps) + len(assets), os.environ)
    return accepted(project, lambda it: build(it, target, assets, translator, resource_key))


def accepted(
    project: Project, define: Callable[[Project], tuple[Definitions, list[Problem]]]
) -> Definitions:
    """What *define* makes of the project. A step that Dagster refuses is shown without what may be
    refused, and can only fail. Errors of steps are logged, as one warning.

    Raises:
        ProjectError: Dagster refuses something else, or the project's ``load`` is ``strict``.
    """
    definitions, problems = define(project)
    refused = errors_of(problems)
    if refused and not project.strict:
        definitions, problems = define(with_errors(project, refused))
    if errors_of(problems):
        raise ProjectError(list(dict.fromkeys([*refused, *errors_of(problems)])))
    _log_warnings(problems)
    of_run = parent_process() is not None or {"execute_run", "execute_step"}.intersection(sys.argv)
    errors = [*errors_of(project.warnings), *refused]
    if errors and not of_run:  # a run reports those of its steps
        logger.warning("%s\n%s", ProjectError(errors), _GO_ON)
    return definitions


def _log_warnings(problems: Sequence[Problem]) -> None:
    for it in problems:
        if it.severity == "warning":
            logger.warning("%s", it)


def loaded(
    path: str | Path,
    others: Sequence[OtherAsset],
    key_prefix: str | Sequence[str] | None,
    environ: Mapping[str, str] | None = None,
    *,
    alone: bool = False,
) -> Project:
    """The project in the folder, which may read the tables of *others*; warnings are logged.

    ``alone``: it is loaded without the others only to know its own tables, so nothing is said of
    what it reads.
    """
    sources, whole = tables_of(others), False if alone else None
    project = load_files(path, sources=sources, environ=environ, whole=whole)
    if key_prefix is not None:
        project = replace(project, key_prefix=checked_prefix(key_prefix))
    if not alone:
        _log_warnings(project.warnings)
    return project


@rare_collections()
def build(
    project: Project,
    target: Target,
    assets: Sequence[OtherAsset] = (),
    translator: ModelsTranslator | None = None,
    resource_key: str | None = None,
    *,
    elsewhere: Sequence[OtherAsset] = (),
    chosen: Callable[[Sequence[OtherAsset]], Sequence[OtherAsset]] = lambda built: built,
    empty_job_severity: str = "error",
) -> tuple[Definitions, list[Problem]]:
    """The definitions of a loaded project, and a problem for each thing that Dagster refuses.

    ``elsewhere`` are assets that the project may read, and that others define. ``chosen`` leaves
    some of the project's own assets out. ``empty_job_severity`` is the severity of the problem of
    a job that selects nothing: "error" or "warning".
    """
    resource_key = resource_key or default_resource_key(project)
    if wrong := [*_wrong_sets(project)]:  # no model of these could be defined
        return Definitions(), wrong
    context = _Context(project, target, translator or ModelsTranslator(), resource_key)
    others = [*assets, *elsewhere]
    built, moved, problems = _build_assets(context, others)
    every = {spec.key for spec in specs_of(built)}
    built = [*chosen(built)]
    left_out = every.difference(spec.key for spec in specs_of(built))
    problems += _unmapped(project, others)
    checks, wrong = source_checks(project, target, resource_key, moved)
    checks = [it for it in checks if left_out.isdisjoint(spec.asset_key for spec in it.check_specs)]
    problems += wrong
    broken = {asset_key(project, it.key) for it in project.steps.values() if it.problems}
    jobs = ProjectJobs(
        project, built, checks, assets, empty_job_severity, {moved.get(it, it) for it in broken}
    )
    made, schedules = jobs.make()
    definitions = Definitions(
        assets=[*built, *assets],
        asset_checks=checks,
        jobs=made,
        schedules=schedules,
        resources={resource_key: _warehouse(project, target)},
    )
    return definitions, [*problems, *jobs.problems]


def default_resource_key(project: Project) -> str:
    return "_".join((*project.key_prefix, "warehouse"))


def shown(project: Project, target: Target, translator: ModelsTranslator) -> list[AssetSpec]:
    """How Dagster shows the steps of a project, for others that read their tables."""
    context = _Context(project, target, translator, default_resource_key(project))
    return [spec for _, spec in _specs([*project.steps.values()], context)[0]]


def _warehouse(project: Project, target: Target) -> WarehouseResource:
    """The resource for the default target; a run may choose one of the others."""
    targets = {
        name: {"type": other.type.name, "settings": dict(other.settings)}
        for name, other in project.targets.items()
    }
    return WarehouseResource(**warehouse_address(project, target).to_json(), targets=targets)


@dataclass(frozen=True, slots=True)
class _Context:
    """What the assets of a project have in common."""

    project: Project
    target: Target
    translator: ModelsTranslator
    resource_key: str


def _build_assets(
    context: _Context, others: Sequence[OtherAsset]
) -> tuple[list[OtherAsset], Moved, list[Problem]]:
    """The assets, the keys that the translator has given them, and what Dagster refuses."""
    built: list[OtherAsset] = []
    # A source with an asset_key is an asset that somebody else defines, so it gets no spec here.
    project = context.project
    sources = [source for source in project.sources.values() if source.asset_key is None]
    taken = {spec.key for spec in specs_of(others)}
    specs, problems = _specs([*sources, *project.steps.values()], context)
    moved = moved_keys(project, specs)
    problems += same_keys(specs)
    for item, spec in specs:
        try:
            asset = spec if isinstance(item, Source) else _asset(item, spec, moved, context)
            if isinstance(item, Step) and spec.partitions_def is not _definition(item):
                other, part = ("another one", "others") if item.partitions else ("none", "all")
                what = _PARTITIONED.format(key=item.key, other=other, what=part)
                problems.append(problem(what, item.location, _NOT_PARTITIONED))
            if not (isinstance(item, Source) and asset.key in taken):
                built.append(asset)
        except (DagsterError, ValueError) as error:
            problems.append(_refused(item, error))
    return built, moved, problems


def _specs(
    items: Sequence[Step | Source], context: _Context
) -> tuple[list[tuple[Step | Source, AssetSpec]], list[Problem]]:
    """What the translator makes of each item."""
    specs: list[tuple[Step | Source, AssetSpec]] = []
    problems = []
    for item in items:
        relation = item.relation
        if isinstance(item, Step):
            relation = TargetStep(context.project, item, context.target).relation
        try:
            spec = context.translator.get_asset_spec(item, context.project, relation)
            specs.append((item, spec))
        except (DagsterError, ValueError) as error:  # e.g. an owner that is not an e-mail address
            problems.append(_refused(item, error))
    return specs, problems


def _wrong_sets(project: Project) -> Iterator[Problem]:
    for of in project.partitions.values():
        try:
            definition_of(of)
        except (DagsterError, ValueError) as error:
            place = of.location or Location(PROJECT_FILE)
            reason = " ".join(str(error).split())
            what = f"Dagster refuses the partitions `{of.name}`: {reason}"
            yield problem(what, place)


def _unmapped(project: Project, assets: Sequence[OtherAsset]) -> Iterator[Problem]:
    for step, asset, name in unmapped(project, specs_of(assets)):
        what = (
            f"{step.key} reads the asset {asset.to_user_string()}, and it is not known how its"
            " partitions correspond to those of the model"
        )
        fix = f"Say in the header which it needs: `upstream: {{{name}: {{partitions: last}}}}`."
        yield problem(what, step.location, fix)


def _definition(step: Step) -> PartitionsDefinition[str] | None:
    return definition_of(step.partitions.of) if step.partitions else None


def _refused(item: Step | Source, error: Exception) -> Problem:
    what = f"Dagster refuses {item.key}: {str(error).strip().splitlines()[0]}"
    return problem(what, item.location)


def _asset(item: Step, spec: AssetSpec, moved: Moved, context: _Context) -> AssetsDefinition:
    project, config = context.project, item.config
    target_step = TargetStep(project, item, context.target, context.resource_key)
    if moved:
        spec = following(spec, item, project, moved)
    return asset_of(
        compute_function(target_step, spec.key, moved),
        name=node_name(spec.key.path),
        spec=spec,
        check_specs=[check_spec(check, spec.key) for check in item.checks],
        retry_policy=retry_policy(config.retries) if config.retries.max_retries else None,
        pool=config.pool,
        op_tags=_op_tags(config),
    )


def _op_tags(config: Config) -> dict[str, str]:
    """The step's tags, for ``tag_concurrency_limits``, and its priority."""
    priority = {"dagster/priority": str(config.priority)} if config.priority else {}
    return {**values_by_tag(config.tags), **priority}
