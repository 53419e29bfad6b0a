"""From a step of a project to the task that its runner gets: all SQL is compiled here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dagster_models.compilation.checks.task import check_task, folded
from dagster_models.compilation.extras import export_of, extras_of, refuse_extras
from dagster_models.compilation.inputs import Known, input_versions
from dagster_models.compilation.leftovers import undeclared_reads
from dagster_models.compilation.sql_text import (
    bound_literal,
    compile_step,
    compile_tables,
    compile_text,
    dialect_on,
    literal_on,
    relation_for,
)
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.checks import When
from dagster_models.core.copied import Copied
from dagster_models.core.environments import Environment
from dagster_models.core.extras import Export
from dagster_models.core.materializations import (
    Custom,
    Incremental,
    Materialization,
    Partitioned,
    Since,
    is_custom,
    materialization_of,
    strategy_of,
)
from dagster_models.core.model import EMPTY, Project, Relation, Step, Target
from dagster_models.core.on_ray import OnRay
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.stand_ins import SINCE, STARTED, STARTED_STAND_INS
from dagster_models.core.tasks import (
    BuildTask,
    ChecksTask,
    Content,
    CsvFile,
    PythonTask,
    Query,
    ScriptTask,
    Task,
)
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.core.windows import Partition
from dagster_models.errors import BrokenFile
from dagster_models.project.contract import contract_of
from dagster_models.project.copied import is_copy
from dagster_models.project.function import is_function
from dagster_models.project.incremental import own_columns, reads_itself
from dagster_models.project.runner import on_ray
from dagster_models.project.snapshot import NO_REFRESH, is_snapshot
from dagster_models.project.targets import usable_target
from dagster_models.sql.fill_in import quote
from dagster_models.sql.predicate_rows import BOTH_ROWS, OF_INSERT, OF_UPDATE, PredicateRows


def warehouse_address(project: Project, target: Target) -> WarehouseAddress:
    """The address of the warehouse in which *target* builds."""
    return WarehouseAddress(target.type, target.settings, project.root)


@dataclass(frozen=True, slots=True)
class TargetStep:
    """A step of a project on a target: what one Dagster step runs. ``resource_key`` is that of the
    Dagster resource by which other code reaches the same warehouse. ``full_refresh``: the run asks
    for a build of the whole relation. ``partitions``: those that the run builds, () for a step
    that has none. ``run_started_at``: in UTC; None is now. ``deferred``: the models that it reads
    from another target, which are sources of *project* here -> their relations. ``builds``: False
    if only its checks run, on the relation as it is; ``checks``: when they run of what is built.
    ``histories``: what checks that look back have found after earlier builds, by their names.
    ``built``: the partitions that the run has built already, and that are not in ``partitions``."""

    project: Project
    step: Step
    target: Target
    resource_key: str = "warehouse"
    full_refresh: bool = False
    partitions: tuple[Partition, ...] = ()
    run_started_at: dt.datetime | None = None
    deferred: Mapping[str, str] = EMPTY
    builds: bool = True
    checks: When = "each"
    histories: Mapping[str, Sequence[float]] = EMPTY
    built: tuple[Partition, ...] = ()

    @property
    def name(self) -> str:
        return str(self.step.key)

    @property
    def relation(self) -> Relation | None:
        """The full relation on the target, or None for a script."""
        if self.step.relation is None and self.step.kind != "source":
            return None
        return relation_for(self.project, self.step.key, self.target)

    def on(self, target: str | None) -> TargetStep:
        """The same step on the target of that name; None stands for the step's own target.

        Raises:
            errors.ProjectError: there is no such target, a variable that it needs is not set, or
                its warehouse lacks what the model asks for.
        """
        if target is None or target == self.target.name:
            return self
        chosen = usable_target(self.project, target)
        refuse_extras(self.step, chosen)
        return replace(self, target=chosen)

    def only(self, builds: bool, checks: Collection[str]) -> TargetStep:
        """What a run selects of the step: whether it is built, and which checks run, by name."""
        kept = tuple(check for check in self.step.checks if check.name in checks)
        return replace(self, step=replace(self.step, checks=kept), builds=builds and self.builds)

    @property
    def address(self) -> WarehouseAddress:
        """The warehouse that the step works in."""
        return warehouse_address(self.project, self.target)

    @property
    def is_built_in_full(self) -> bool:
        """Whether a build replaces the whole relation: the model's own setting goes before the
        run's, and a snapshot is never replaced."""
        if self.why_never_refreshed:
            return False
        return self.full_refresh or bool(self.step.config.full_refresh)

    @property
    def why_never_refreshed(self) -> str:
        """Why no run builds it in full; "" if one may."""
        if is_snapshot(self.step):
            return f"it {NO_REFRESH}"
        return "it says `full_refresh: false`" if self.step.config.full_refresh is False else ""

    @property
    def is_python(self) -> bool:
        """Whether it runs in a worker process, and not in a session of the warehouse process."""
        return self.is_made_in_python or any(it.function is not None for it in self.step.checks)

    @property
    def is_made_in_python(self) -> bool:
        """Whether Python makes its rows, or copies them, and no query of the warehouse's."""
        elsewhere = self.step.kind in ("python", "script") or is_copy(self.step)
        return self.builds and (elsewhere or is_custom(self.step.config.materialized))


def builder_of(project: Project, target: Target) -> str:
    """Who builds relations there. Under another schema prefix the same project is another builder:
    what one developer has built is not for the next one to drop."""
    return f"{project.name}/{target.schema_prefix}" if target.schema_prefix else project.name


def schemas(steps: Mapping[str, TargetStep]) -> list[str]:
    """The schemas, sorted, that must exist before the first of these steps builds."""
    relations = (target_step.relation for target_step in steps.values() if target_step.builds)
    return sorted({relation.schema for relation in relations if relation is not None})


def schemas_by_warehouse(
    steps: Mapping[str, TargetStep],
) -> dict[WarehouseAddress, list[str]]:
    """The ``schemas`` of each warehouse that the steps build in; where only checks run, none."""
    found: dict[WarehouseAddress, dict[str, TargetStep]] = {}
    for key, target_step in steps.items():
        if target_step.builds:
            found.setdefault(target_step.address, {})[key] = target_step
    return {address: schemas(those) for address, those in found.items()}


def exports_by_warehouse(
    steps: Mapping[str, TargetStep],
) -> dict[WarehouseAddress, list[tuple[Relation, Export]]]:
    """The exports of the projects of these steps, on the same targets, each with its relation, by
    the warehouse of their records: also those of steps that a run does not have."""
    found: dict[WarehouseAddress, list[tuple[Relation, Export]]] = {}
    places = {(id(it.project), it.target.name): it for it in steps.values() if it.builds}
    for it in places.values():
        for key, step in it.project.steps.items():
            export = export_of(it.project, step, it.target)
            if export is not None and step.relation is not None:  # else its file is wrong
                relation = relation_for(it.project, key, it.target)
                found.setdefault(it.address, []).append((relation, export))
    return found


def task_for(
    target_step: TargetStep,
    run_id: str,
    attempt: int,
    built_on_previous: Collection[str] = (),
    known: Known = EMPTY,
) -> Task:
    """The task of one attempt.

    ``built_on_previous`` names the upstreams that failed in this run, and whose previous versions
    the step therefore reads. ``known``: what the run knows of what the step reads.

    Raises:
        errors.SqlSyntaxError: a variable of the text has no value.
        errors.BrokenFile: the step's file is wrong, or one that says what its names mean.
    """
    refuse_broken(target_step)
    if not target_step.builds:
        return checks_task(target_step, run_id, attempt)
    project, step, target = target_step.project, target_step.step, target_step.target
    name = target_step.name
    if step.kind == "script":
        own, file = _environment(target_step), _file(project, step)
        return ScriptTask(run_id, name, attempt, file, **_python_part(target_step), environment=own)
    relation = relation_for(project, step.key, target)
    proved: dict[str, Any] = {
        "materialization": _materialization(target_step),
        "code_version": step.code_version,
        "input_versions": input_versions(project, step, target, known, built_on_previous),
        "checks": _checks(target_step),
        "builder": builder_of(project, target),
        "undeclared": undeclared_reads(project, step, target),
        "extras": extras_of(project, step, target),
        "contract": contract_of(step),
    }
    if target_step.is_made_in_python:
        return PythonTask(
            run_id,
            name,
            attempt,
            _file(project, step),
            relation,
            **_python_part(target_step),
            **proved,
            copied=copied_of(target_step) if is_copy(step) else None,
        )
    content: Content
    if step.kind == "seed":
        content = CsvFile(_file(project, step), step.config.column_types)
    else:
        full = compile_step(project, step, target, full=True) if step.full_sql else ""
        sql = compile_step(project, step, target)
        content = Query(_with_start(sql, target_step), _with_start(full, target_step))
    return BuildTask(run_id, name, attempt, relation, content, **proved)


def refuse_broken(target_step: TargetStep) -> None:
    """Raise BrokenFile if the step cannot run: its file is wrong, or the file of something that it
    reads, so that even the name of that is not known."""
    step, steps = target_step.step, target_step.project.steps
    if step.problems:
        raise BrokenFile(step.problems)
    sources = target_step.project.sources
    for key in dict.fromkeys((step.key, *step.upstream, *step.resolved.values())):
        if key in sources and sources[key].problems:
            raise BrokenFile(sources[key].problems, f"the source {key} is wrong")
        read = steps.get(key)
        if read is not None and read.problems and read.relation is None and read.kind != "script":
            raise BrokenFile(read.problems, f"it reads {key}, whose file is wrong")


def checks_task(target_step: TargetStep, run_id: str, attempt: int) -> ChecksTask:
    """The task that runs the step's checks alone, on its relation as it is."""
    relation = relation_for(target_step.project, target_step.step.key, target_step.target)
    checks, function = _checks(target_step), is_function(target_step.step)
    return ChecksTask(run_id, target_step.name, attempt, relation, checks, function)


def _checks(target_step: TargetStep) -> tuple[CheckTask, ...]:
    project, step, target = target_step.project, target_step.step, target_step.target
    owner = project.sources[step.key] if step.kind == "source" else step
    histories = target_step.histories
    return tuple(
        check_task(project, owner, check, target, histories.get(check.name, ()))
        for check in step.checks
    )


def copied_of(target_step: TargetStep) -> Copied:
    """What a copy reads, in the words of the target that it comes from."""
    project, step, since = target_step.project, target_step.step, target_step.step.config.since
    source = usable_target(project, step.config.from_target)
    address = warehouse_address(project, source).to_json()
    sql = _with_start(compile_step(project, step, source), target_step)
    if since is None:
        return Copied(source.name, address, sql)
    dialect = dialect_on(project, source)
    column = quote(folded(since.column, dialect), dialect)

    def beginning(operator: str, value: str) -> str:  # on the same lines as before
        return f"SELECT * FROM ({sql}\n) AS copied WHERE {column} {operator} {value}"

    adds, whole = strategy_of(step.config) == "append", sql
    if since.begin is not None:
        whole = beginning(">=", literal_on(project, source, since.begin))
    return Copied(source.name, address, whole, beginning(">" if adds else ">=", SINCE))


def _materialization(target_step: TargetStep) -> Materialization:
    """How the relation is kept, in this run."""
    project, step, target = target_step.project, target_step.step, target_step.target
    how = materialization_of(step.config)
    if isinstance(how, Custom):
        sql = compile_step(project, step, target)
        return replace(how, query=sql, full_refresh=target_step.is_built_in_full)
    if not isinstance(how, Incremental):
        return how
    since = step.config.since
    if since is not None:
        begin = bound_literal(project, step, "since")
        if not begin and since.begin is not None:
            begin = literal_on(project, target, since.begin)
        how = replace(how, since=Since(since.column, since.lookback, begin))
    if step.partitions is not None:
        batch = step.config.batch
        wanted, built = target_step.partitions, target_step.built
        reach = step.partitions.reach
        partitioned = Partitioned(step.partitions.by, wanted, batch, earlier=built, reach=reach)
        how = replace(how, partitioned=partitioned)
    columns = own_columns(step) if reads_itself(step) else ()
    dialect, config = dialect_on(project, target), step.config

    def condition(text: str, rows: PredicateRows) -> str:
        if not text:
            return ""
        from dagster_models.sql.predicates import predicate_of_rows

        return predicate_of_rows(text, dialect, rows)

    return replace(
        how,
        merge_update_condition=condition(config.merge_update_condition, OF_UPDATE),
        merge_insert_condition=condition(config.merge_insert_condition, OF_INSERT),
        incremental_predicates=tuple(
            condition(it, BOTH_ROWS) for it in config.incremental_predicates
        ),
        columns=columns,
        full_refresh=target_step.is_built_in_full,
        code_version=step.code_version,
    )


def _with_start(sql: str, target_step: TargetStep) -> str:
    """The SQL with the moment at which the run began: with its zone, or that of the UTC clock."""
    if f"_{STARTED}_" not in sql:
        return sql
    moment = target_step.run_started_at or dt.datetime.now(dt.timezone.utc)
    clock = moment.replace(tzinfo=None)
    texts = {"date": clock.date().isoformat(), "timestamp": clock.isoformat(" ")}
    for text, type_ in STARTED_STAND_INS.items():
        literal = f"{type_ or 'timestamptz'} '{texts.get(type_, moment.isoformat(' '))}'"
        sql = sql.replace(text, literal.upper())
    return sql


def _file(project: Project, step: Step) -> LoadedFile:
    path = step.kind_path or step.location.path
    return LoadedFile(str(Path(project.root) / path), path, step.digest, step.code)


def _environment(target_step: TargetStep) -> Environment | None:
    environment, project = target_step.step.environment, target_step.project
    if environment is None:
        return None
    return replace(environment, folder=str(Path(project.target_path) / "environments"))


def _python_part(target_step: TargetStep) -> dict[str, Any]:
    """The fields of the task, besides the file, that a process needs to run the user's Python."""
    project, step, target = target_step.project, target_step.step, target_step.target
    needs = on_ray(step, target)
    return {
        "project_root": project.root,
        "on_ray": OnRay(project.ray, needs) if needs is not None else None,
        "modules": tuple(
            LoadedFile(
                str(Path(project.root) / module.path), module.path, module.digest, module.code
            )
            for module in step.modules
        ),
        "queries": {
            text: _with_start(compile_text(project, step, text, target), target_step)
            for text in step.queries
        },
        "relations": compile_tables(project, step, target),
    }
