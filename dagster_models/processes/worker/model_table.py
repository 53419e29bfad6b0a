"""From what a Python model returns to the file of which its relation is built.

A table stays in memory until the user's code is over, and is written on the session that publishes
it. A stream is written while the user's code makes it, so that one of its parts is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.messages import CheckOutcome, Outcome
from dagster_models.core.tasks import ArrowFile, PythonTask
from dagster_models.errors import ErrorKind, WarehouseLost
from dagster_models.processes.client.session import RunCheck, Session
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.tables import ACCEPTED, to_arrow
from dagster_models.processes.client.warehouse import Result, Warehouse, spool
from dagster_models.processes.worker.usercode import UserCodeFailed


def empty_delta(task: PythonTask, warehouse: Warehouse, reading: Reading | None) -> Result | None:
    """No rows of the table to which the model's rows are added, None where there is none yet."""
    how = task.materialization
    if reading is None or reading.whole or not isinstance(how, Incremental):
        return None
    if how.partitioned is not None and not reading.seen:
        return None
    return warehouse.sql(f"select * from {task.relation.quoted} where 1 = 0")


def taken(connection: StepConnection, no_rows: Result | None, value: Any, line: int) -> Any:
    """A pyarrow Table, or the path of a file with the rows of a stream.

    ``no_rows`` stands for an empty list or iterator, which has no columns of its own. ``line``:
    where the model begins. Raises UserCodeFailed for what is no table, and whatever the user's code
    raises that a stream runs.
    """
    theirs: list[BaseException] = []
    try:
        if value is None:
            raise TypeError(f"the model returned nothing; return {ACCEPTED}")
        if isinstance(value, list) and not value and no_rows is not None:
            value = no_rows
        if isinstance(value, Iterator) and not hasattr(value, "schema"):
            value = _noting_errors(value, theirs, no_rows)
        table = to_arrow(value, "the model's table")
        # A stream runs the user's own code until its end: it must not while publishing.
        return table if hasattr(table, "num_rows") else spool(connection, table)
    except (TypeError, ValueError) as error:
        if error in theirs:
            raise
        name = type(error).__name__
        raise UserCodeFailed(ErrorKind.USER_CODE, str(error), line, name=name) from error


def _noting_errors(
    tables: Iterator[Any], errors: list[BaseException], no_rows: Result | None
) -> Iterator[Any]:
    """The same tables, or that of no rows. What the user's code raises is put into ``errors``."""
    one = False
    try:
        for table in tables:
            one = True
            yield table
    except BaseException as error:
        errors.append(error)
        raise
    if not one and no_rows is not None:
        yield no_rows


def build(
    session: Session,
    task: PythonTask,
    table: Any,
    reading: Reading | None,
    check: RunCheck,
    found: tuple[CheckOutcome, ...],
) -> Outcome:
    """Send the table as an Arrow IPC file; the warehouse process builds and publishes it. *found*:
    what the checks have found in earlier parts of the task."""
    path = table if isinstance(table, str) else session.write_bulk(table)
    if not os.path.exists(path):
        raise WarehouseLost(ErrorKind.LOST, "the warehouse process has ended, and the rows with it")
    try:
        built = replace(task.build_from(ArrowFile(path), reading), found=found)
        return session.run(built, check)
    finally:
        discard(path)


def discard(table: Any) -> None:
    """Delete the file of a table that is one."""
    if isinstance(table, str):
        with suppress(FileNotFoundError):
            os.unlink(table)
