"""A project folder as Dagster definitions: one asset and one step per model, seed and script."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckSpec,
    AssetKey,
    AssetsDefinition,
    AssetSelection,
    AssetSpec,
    DagsterError,
    Definitions,
    ScheduleDefinition,
    define_asset_job,
)

from dagster_models._dagster.assets import Selections, asset_of
from dagster_models.compilation.tasks import TargetStep, warehouse_address
from dagster_models.core.model import (
    Check,
    Config,
    Job,
    Key,
    Location,
    Project,
    Relation,
    Schedule,
    Source,
    Step,
    Target,
)
from dagster_models.core.step_keys import node_name
from dagster_models.definitions.compute import compute_function
from dagster_models.definitions.executor import models_executor
from dagster_models.definitions.resource import WarehouseResource
from dagster_models.definitions.sql_function import run_sql_function
from dagster_models.definitions.translator import (
    ModelsTranslator,
    beta_features,
)
from dagster_models.errors import Problem, ProjectError
from dagster_models.execution.options import retry_policy
from dagster_models.project.load import load
from dagster_models.project.targets import usable_target
from dagster_models.util.gc_tuning import rare_collections

logger = logging.getLogger("dagster_models")


def load_project(
    path: str | Path,
    *,
    assets: Sequence[AssetsDefinition | AssetSpec] = (),
    translator: ModelsTranslator | None = None,
    resource_key: str = "warehouse",
) -> Definitions:
    """Load a project folder as Dagster definitions.

    Args:
        path: the folder that holds ``dagster_models.yaml`` and ``models/``.
        assets: other Dagster assets of this code location. They become part of the result. A model
            depends on such an asset if its SQL names the table that the asset's metadata has as
            ``dagster/table_name``.
        translator: decides how Dagster shows the steps as assets.
        resource_key: the key of the project's WarehouseResource. If several projects share a code
            location (``Definitions.merge``), each needs its own.

    Returns:
        Definitions with the assets, their checks, the jobs and schedules of
        ``dagster_models.yaml``, ``models_executor`` as the default executor and the resource
        ``resource_key``.

    Raises:
        ProjectError: all problems of the project's files in one report.
        TypeError: *assets* holds something other than assets, e.g. a list of them.
    """
    project = load(path, run_sql_function=run_sql_function, sources=_tables_of(assets))
    for warning in project.warnings:
        logger.warning("%s", warning)
    target = usable_target(project)
    definitions, problems = build(project, target, assets, translator, resource_key)
    if problems:
        raise ProjectError(problems)
    return definitions


def build(
    project: Project,
    target: Target,
    assets: Sequence[AssetsDefinition | AssetSpec] = (),
    translator: ModelsTranslator | None = None,
    resource_key: str = "warehouse",
    *,
    empty_job_severity: str = "error",
) -> tuple[Definitions, list[Problem]]:
    """The definitions of a loaded project, and a problem for each thing that Dagster refuses.

    ``empty_job_severity`` is the severity of the problem of a job that selects nothing: "error" or
    "warning".
    """
    with rare_collections():
        built, problems = _build_assets(project, target, translator or ModelsTranslator())
    selections = Selections([*built, *assets])
    jobs = {}
    for job in project.jobs:
        jobs[job.name] = _job(job, problems)
        if jobs[job.name] and job.selection != "*":
            problems += _empty_selection(job, project, selections, empty_job_severity)
    schedules = [_schedule(schedule, jobs, problems) for schedule in project.schedules]
    definitions = Definitions(
        assets=[*built, *assets],
        jobs=list(filter(None, jobs.values())),
        schedules=list(filter(None, schedules)),
        resources={resource_key: _warehouse(project, target)},
        executor=models_executor,
    )
    return definitions, problems


def _warehouse(project: Project, target: Target) -> WarehouseResource:
    """The resource for the default target; a run may choose one of the others."""
    targets = {
        name: {"type": other.type.name, "settings": dict(other.settings)}
        for name, other in project.targets.items()
    }
    return WarehouseResource(**warehouse_address(project, target).to_json(), targets=targets)


_SELECTION = 'E.g. selection: "*", group:"marts", key:"marts/*", or tag:"nightly".'


def _empty_selection(
    job: Job, project: Project, selections: Selections, severity: str
) -> list[Problem]:
    """A problem if the job selects nothing: it would succeed every night and run nothing."""
    with beta_features():
        missing = selections.lacks(AssetSelection.from_string(job.selection))
    if not missing:
        return []
    meant = [key for key in project.steps if job.selection in (key.name, str(key))]
    fix = f'Did you mean `key:"{meant[0].schema}/{meant[0].name}"`?' if meant else _SELECTION
    what = f"the selection of job {job.name} matches nothing: {missing}"
    place = job.location
    return [Problem(what, place.path, place.line, place.column, fix, severity)]


def _job(job: Job, problems: list[Problem]) -> Any:
    with beta_features():
        try:
            return define_asset_job(
                job.name,
                selection=AssetSelection.from_string(job.selection),
                description=job.description or None,
                tags=dict(job.tags),
            )
        except DagsterError as error:
            problems.append(_refused(f"job {job.name}", error, job.location, _SELECTION))
    return None


def _schedule(schedule: Schedule, jobs: Mapping[str, Any], problems: list[Problem]) -> Any:
    try:
        return ScheduleDefinition(
            name=schedule.name,
            job=jobs[schedule.job],
            cron_schedule=schedule.cron,
            execution_timezone=schedule.timezone,
        )
    except (DagsterError, ValueError) as error:
        if jobs[schedule.job] is not None:  # else the job's own problem is reported
            fix = 'E.g. cron: "0 6 * * *" and timezone: America/New_York.'
            problems.append(_refused(f"schedule {schedule.name}", error, schedule.location, fix))
    return None


def _refused(what: str, error: Exception, place: Location, fix: str) -> Problem:
    reason = " ".join(str(error).split())
    text = f"Dagster refuses {what}: {reason}"
    return Problem(text, place.path, place.line, place.column, fix)


def _build_assets(
    project: Project, target: Target, translator: ModelsTranslator
) -> tuple[list[AssetsDefinition | AssetSpec], list[Problem]]:
    built: list[AssetsDefinition | AssetSpec] = []
    problems: list[Problem] = []
    # A source with an asset_key is one of the caller's own assets, so it gets no spec here.
    sources = [source for source in project.sources.values() if source.asset_key is None]
    items: list[Step | Source] = [*sources, *project.steps.values()]
    for item in items:
        try:
            built.append(_asset(item, project, target, translator))
        except (DagsterError, ValueError) as error:  # e.g. an owner that is not an e-mail address
            place = item.location
            what = f"Dagster refuses {item.key}: {str(error).strip().splitlines()[0]}"
            problems.append(Problem(what, place.path, place.line, place.column))
    return built, problems


def _asset(
    item: Step | Source, project: Project, target: Target, translator: ModelsTranslator
) -> AssetsDefinition | AssetSpec:
    if isinstance(item, Source):
        return translator.get_asset_spec(item, project, item.relation)
    target_step, config = TargetStep(project, item, target), item.config
    spec = translator.get_asset_spec(item, project, target_step.relation)
    return asset_of(
        compute_function(target_step, spec.key),
        name=node_name(item.key),
        spec=spec,
        check_specs=[_check_spec(check, spec.key) for check in item.checks],
        retry_policy=retry_policy(config.retries) if config.retries.max_retries else None,
        pool=config.pool,
        op_tags=_op_tags(config),
    )


def _op_tags(config: Config) -> dict[str, str]:
    """The step's tags, for ``tag_concurrency_limits``, and its priority."""
    priority = {"dagster/priority": str(config.priority)} if config.priority else {}
    return {**dict.fromkeys(config.tags, ""), **priority}


def _check_spec(check: Check, asset: AssetKey) -> AssetCheckSpec:
    return AssetCheckSpec(
        name=check.name,
        asset=asset,
        description=check.description or None,
        blocking=check.severity == "error",
    )


def _tables_of(assets: Sequence[AssetsDefinition | AssetSpec]) -> list[Source]:
    """Those of the caller's assets that have a table name in their metadata, as sources."""
    found = []
    for asset in assets:
        # (A SourceAsset has no specs, but it has metadata.)
        if not hasattr(asset, "specs") and not hasattr(asset, "metadata"):
            raise TypeError(
                f"load_project(assets=...) takes assets and asset specs, not {asset!r:.200}. Unpack"
                " a list of them with `*`; add resources, jobs and sensors with Definitions.merge"
            )
        for spec in asset.specs if isinstance(asset, AssetsDefinition) else [asset]:
            table = spec.metadata.get("dagster/table_name")
            name = getattr(table, "value", table)
            if isinstance(name, str) and name:
                *outer, last = name.split(".")
                catalog = outer[-2] if len(outer) > 1 else None
                schema = outer[-1] if outer else "main"
                relation = Relation(schema, last, catalog)
                found.append(
                    Source(
                        Key(schema, last),
                        relation,
                        Location("(Dagster asset)"),
                        asset_key=tuple(spec.key.path),
                    )
                )
    return found
