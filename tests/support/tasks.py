"""Tasks for tests, in few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dagster_models.core.materializations import Replace, View
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.tasks import (
    ArrowFile,
    BuildTask,
    CsvFile,
    PythonTask,
    Query,
    ScriptTask,
)


def relation_of(step: str) -> Relation:
    """The relation ``schema.name`` that the step of that name builds."""
    schema, _, name = step.rpartition(".")
    return Relation(schema, name)


def sql_task(
    step: str,
    sql: str = "",
    *,
    view: bool = False,
    run_id: str = "r",
    attempt: int = 1,
    relation: Relation | None = None,
    **more: Any,
) -> BuildTask:
    """A task that builds a table, or a view, from a query."""
    found = relation or relation_of(step)
    how = View() if view else Replace()
    return BuildTask(run_id, step, attempt, found, Query(sql), how, **more)


def with_sql(task: BuildTask, sql: str) -> BuildTask:
    """The same task with another query."""
    return replace(task, content=Query(sql))


def csv_task(step: str, path: object, digest: str = "", **more: Any) -> BuildTask:
    """A task that builds a table from a CSV file."""
    content = CsvFile(LoadedFile(str(path), digest=digest))
    return BuildTask("r", step, 1, relation_of(step), content, **more)


def arrow_task(step: str, path: object, **more: Any) -> BuildTask:
    """A task that builds a table from an Arrow file."""
    return BuildTask("r", step, 1, relation_of(step), ArrowFile(str(path)), **more)


def python_task(
    step: str, path: object, relation: Relation | None = None, **more: Any
) -> PythonTask:
    """A task that calls ``model(warehouse)`` of a file."""
    found = relation or relation_of(step)
    names = {"run_id": "r", "attempt": 1, "file": LoadedFile(str(path)), **more}
    return PythonTask(step=step, relation=found, **names)


def script_task(step: str, path: object, **more: Any) -> ScriptTask:
    """A task that runs a file as a program."""
    names = {"run_id": "r", "attempt": 1, "file": LoadedFile(str(path)), **more}
    return ScriptTask(step=step, **names)
