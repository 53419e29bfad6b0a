"""The task of one attempt of a step, as it is sent to its runner: a union of four kinds.

    BuildTask    builds a relation from a query or a file; a warehouse session runs it
    ChecksTask   runs checks on an existing relation; a warehouse session runs it
    PythonTask   calls ``model(warehouse)`` of a file and publishes what it returns
    ScriptTask   runs a file and publishes nothing

The first two need a Python process, too, if one of their checks is a Python function. Each says
which ``runner`` it needs and whether it ``publishes``, so no code asks for its name. All are frozen
values, which ``task_to_json`` and ``task_from_json`` carry between processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, NamedTuple, TypeAlias

from dagster_models.core.changes import Changes
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.contracts import Contract
from dagster_models.core.copied import Copied
from dagster_models.core.environments import Environment
from dagster_models.core.extras import NO_EXTRAS, Extras
from dagster_models.core.materializations import (
    EVERY_KIND,
    AddedTo,
    Materialization,
    Reading,
    Replace,
)
from dagster_models.core.messages import CheckOutcome
from dagster_models.core.model import EMPTY, Relation
from dagster_models.core.on_ray import OnRay
from dagster_models.core.plain import plain
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.stand_ins import SINCE, STAND_INS, STARTED, STARTED_STAND_INS


class RunnerKind(Enum):
    """Where a task runs."""

    WAREHOUSE = "warehouse"  #: in a session of the warehouse process
    PYTHON = "python"  #: in a Python process of its own
    RAY = "ray"  #: the same, on a node of a Ray cluster


class AttemptId(NamedTuple):
    """Identifies one attempt for ever: there can be no second publication with the same id."""

    run_id: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Query:
    """Rows that a query returns. In ``sql``, names are replaced and variables filled in.

    ``full``: the query for a build in full, "" where that is no other.
    """

    sql: str
    full: str = ""


@dataclass(frozen=True, slots=True)
class CsvFile:
    """Rows of a CSV file with a header; ``column_types``: column -> the warehouse's type."""

    file: LoadedFile
    column_types: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class ArrowFile:
    """Rows of an Arrow IPC file."""

    path: str


#: The default of a task's materialization.
_REPLACE = Replace()

Content: TypeAlias = "Query | CsvFile | ArrowFile"
"""The rows that a relation is built from."""


@dataclass(frozen=True, slots=True)
class BuildTask:
    """Build ``relation`` from ``content``, check it, and publish it with its commit record.

    ``undeclared`` are relations that it reads and that nobody declares, each with its line. None of
    them may be what the same ``builder`` has left behind. ``found``: the outcomes of the checks in
    earlier transactions of the same attempt.
    """

    run_id: str
    step: str
    attempt: int
    relation: Relation
    content: Content
    materialization: Materialization = _REPLACE
    code_version: str = ""
    input_versions: Mapping[str, str] = EMPTY
    checks: tuple[CheckTask, ...] = ()
    builder: str | None = None  #: see Commit
    undeclared: Mapping[str, int] = EMPTY
    extras: Extras = NO_EXTRAS
    contract: Contract | None = None
    found: tuple[CheckOutcome, ...] = ()

    publishes: ClassVar[bool] = True

    @property
    def runner(self) -> RunnerKind:
        return _runner_of(self.checks)

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)


@dataclass(frozen=True, slots=True)
class ChecksTask:
    """Run checks on ``relation`` (or a function) as it is, without building or publishing it.

    ``builder``: who stores the rows that they find, None if nobody does.
    """

    run_id: str
    step: str
    attempt: int
    relation: Relation
    checks: tuple[CheckTask, ...] = ()
    is_function: bool = False
    builder: str | None = None

    publishes: ClassVar[bool] = False

    @property
    def runner(self) -> RunnerKind:
        return _runner_of(self.checks)

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)


@dataclass(frozen=True, slots=True)
class PythonTask:
    """Call ``model(warehouse)`` of ``file``, and build ``relation`` from what it returns.

    ``modules`` are those of the project that the file imports. ``queries`` maps the literal SQL of
    these files to the SQL to send, and ``relations`` maps the names of tables as written there to
    their SQL. ``copied``: the rows that it builds from, instead of what a model returns.
    ``on_ray``: None for a process on this machine.
    """

    run_id: str
    step: str
    attempt: int
    file: LoadedFile
    relation: Relation
    project_root: str = ""
    materialization: Materialization = _REPLACE
    code_version: str = ""
    input_versions: Mapping[str, str] = EMPTY
    checks: tuple[CheckTask, ...] = ()
    builder: str | None = None  #: see Commit
    undeclared: Mapping[str, int] = EMPTY
    extras: Extras = NO_EXTRAS
    contract: Contract | None = None
    queries: Mapping[str, str] = EMPTY
    relations: Mapping[str, str] = EMPTY
    modules: tuple[LoadedFile, ...] = ()
    copied: Copied | None = None
    on_ray: OnRay | None = None

    publishes: ClassVar[bool] = True

    @property
    def runner(self) -> RunnerKind:
        return RunnerKind.RAY if self.on_ray is not None else RunnerKind.PYTHON

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)

    def build_from(self, content: Content, reading: Reading | None = None) -> BuildTask:
        """The task that publishes what the model returned; ``reading``: what it was given."""
        return BuildTask(
            *self.id,
            self.relation,
            content,
            self._materialization(reading),
            self.code_version,
            self.input_versions,
            self.checks,
            self.builder,
            self.undeclared,
            self.extras,
            self.contract,
        )

    def _materialization(self, reading: Reading | None) -> Materialization:
        how = self.materialization
        return replace(how, reading=reading) if isinstance(how, AddedTo) else how


@dataclass(frozen=True, slots=True)
class ScriptTask:
    """Run ``file`` as a program. ``modules``, ``queries`` and ``relations`` are those of
    PythonTask, as is ``on_ray``. ``environment``: its own packages, None for those of the project.
    """

    run_id: str
    step: str
    attempt: int
    file: LoadedFile
    project_root: str = ""
    queries: Mapping[str, str] = EMPTY
    relations: Mapping[str, str] = EMPTY
    modules: tuple[LoadedFile, ...] = ()
    environment: Environment | None = None
    on_ray: OnRay | None = None

    publishes: ClassVar[bool] = False

    @property
    def runner(self) -> RunnerKind:
        return RunnerKind.RAY if self.on_ray is not None else RunnerKind.PYTHON

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.run_id, self.step, self.attempt)


def _runner_of(checks: tuple[CheckTask, ...]) -> RunnerKind:
    """Where a relation is built or checked: a warehouse process runs no code of the user's."""
    in_python = any(check.code is not None for check in checks)
    return RunnerKind.PYTHON if in_python else RunnerKind.WAREHOUSE


Task: TypeAlias = "BuildTask | ChecksTask | PythonTask | ScriptTask"


def project_root_of(task: Task) -> str:
    """The folder of the project whose Python the task runs; "" for a task without such code."""
    if isinstance(task, (PythonTask, ScriptTask)):
        return task.project_root
    return next((check.code.project_root for check in task.checks if check.code), "")


def sent_sql(task: Task, changes: Changes | None = None) -> str:
    """The query that the task sends, or "" if it sends none of its own. ``changes``: those of an
    incremental build that is over, which tell the value of `$since`."""
    whole = changes is not None and changes.kind == "whole"
    if isinstance(task, PythonTask) and task.copied is not None:
        sql = task.copied.query(whole=whole)
    elif isinstance(task, BuildTask) and isinstance(task.content, Query):
        sql = (whole and task.content.full) or task.content.sql
    else:
        return ""
    return shown(sql.replace(SINCE, (changes and changes.since) or "$since"))


def shown(sql: str) -> str:
    """SQL that is to be sent, with the names of the values that only the session knows."""
    sql = sql.replace(SINCE, "$since")
    for text, (name, _) in STAND_INS.items():
        sql = sql.replace(text, f"${name}")
    for text in STARTED_STAND_INS:
        sql = sql.replace(text, f"${STARTED}")
    return sql


# --- across a process border ---------------------------------------------------------------------

_TASKS: Mapping[str, type] = {
    cls.__name__: cls for cls in (BuildTask, ChecksTask, PythonTask, ScriptTask)
}
_CONTENTS: Mapping[str, type] = {cls.__name__: cls for cls in (Query, ArrowFile)}
_MATERIALIZATIONS = {cls.__name__: cls for cls in EVERY_KIND}


def task_to_json(task: Task) -> dict[str, Any]:
    """The task as plain JSON types; ``task_from_json`` is the inverse."""
    data = {"task": type(task).__name__, **plain(task)}
    for name in ("content", "materialization"):
        if name in data:
            data[name] = {"type": type(getattr(task, name)).__name__, **data[name]}
    return data


def task_from_json(data: Mapping[str, Any]) -> Task:
    """The inverse of ``task_to_json``. Raises KeyError or TypeError if *data* is not a task."""
    fields = {name: value for name, value in data.items() if name != "task"}
    if "relation" in fields:
        fields["relation"] = Relation(**fields["relation"])
    if "checks" in fields:
        fields["checks"] = tuple(map(CheckTask.from_json, fields["checks"]))
    if "file" in fields:
        fields["file"] = LoadedFile(**fields["file"])
    if "modules" in fields:
        fields["modules"] = tuple(LoadedFile(**module) for module in fields["modules"])
    if fields.get("environment"):
        own = fields["environment"]
        fields["environment"] = Environment(**{**own, "dependencies": tuple(own["dependencies"])})
    if fields.get("contract"):
        fields["contract"] = Contract.from_json(fields["contract"])
    if "found" in fields:
        fields["found"] = tuple(map(CheckOutcome.from_json, fields["found"]))
    if "extras" in fields:
        fields["extras"] = Extras.from_json(fields["extras"])
    if fields.get("copied"):
        fields["copied"] = Copied(**fields["copied"])
    if fields.get("on_ray"):
        fields["on_ray"] = OnRay.from_json(fields["on_ray"])
    if "content" in fields:
        fields["content"] = _content(**fields["content"])
    if "materialization" in fields:
        name, values = _untyped(**fields["materialization"])
        fields["materialization"] = _MATERIALIZATIONS[name].from_json(values)
    task: Task = _TASKS[data["task"]](**fields)
    return task


def _untyped(type: str, **values: Any) -> tuple[str, dict[str, Any]]:
    return type, values


def _content(type: str, **values: Any) -> Content:
    if type == CsvFile.__name__:
        return CsvFile(LoadedFile(**values["file"]), values["column_types"])
    content: Content = _CONTENTS[type](**values)
    return content
