"""Runs a check that is a Python function, and says what it has found."""

from __future__ import annotations

import decimal
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from dagster_models.core.check_tasks import (
    MOST_CHARACTERS,
    MOST_COLUMNS,
    ONLY_READS,
    CheckTask,
    shown_rows,
)
from dagster_models.core.finding import Finding
from dagster_models.core.python_code import PythonCode
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.errors import ErrorKind
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.tables import ACCEPTED, to_arrow
from dagster_models.processes.client.warehouse import Result, Warehouse, bound
from dagster_models.processes.worker.usercode import CHECK, UserCodeFailed, call

_RETURNS = f"rows that offend ({ACCEPTED}), their number, True or False, or a Finding"


class _Reading(Warehouse):
    """A warehouse that refuses to be written to."""

    def execute(self, statement: str) -> NoReturn:
        raise ValueError(ONLY_READS)

    def _instead_of(self, word: str) -> str:
        return f"{ONLY_READS}, and {word} is not a query"

    def load(self, data: Any, name: str, mode: str = "replace") -> NoReturn:
        raise ValueError(ONLY_READS)


def run_check(
    check: CheckTask, code: PythonCode, relation: str, connection: StepConnection
) -> dict[str, Any]:
    """What the function has found, as the session's side reads it. *relation*: what is checked, as
    SQL.

    Raises UserCodeFailed, or whatever the user's code raises.
    """
    sent = code.with_sql(lambda sql: sql.replace(OWN_RELATION, relation))
    warehouse = _Reading(connection, sent.queries, sent.relations)
    with bound(warehouse), _labelled(check.name):
        return call(CHECK, code, check.name, warehouse, partial(_taken, check, connection))


def _taken(check: CheckTask, connection: StepConnection, value: Any, line: int) -> dict[str, Any]:
    """What a function has returned that begins in that line."""
    found = value if isinstance(value, Finding) else None
    rows = _drained(value if found is None else found.rows)  # this may run the user's code
    try:
        found = _finding(rows) if found is None else replace(found, rows=rows)
        table = None if found.rows is None else _table(found.rows)
        failures = _failures(found, table)
        checked = None if found.checked is None else _number("checked", _plain(found.checked))
        columns, sample = _sample(table, check.limit)
        path = _stored(table, check, connection)
    except (TypeError, ValueError) as error:
        name = type(error).__name__
        raise UserCodeFailed(ErrorKind.USER_CODE, str(error), line, name=name) from error
    return {
        "failures": failures,
        "description": found.description,
        "checked": checked,
        "columns": columns,
        "sample": sample,
        "query": found.rows.query if isinstance(found.rows, Result) else "",
        "path": path,
    }


def _drained(value: Any) -> Any:
    """A list of what an iterator yields that is not a table itself."""
    if isinstance(value, Iterator) and not hasattr(value, "__arrow_c_stream__"):
        return list(value)
    return value


def _finding(value: Any) -> Finding:
    """What has been returned that is no Finding."""
    if value is None:
        raise TypeError(f"the check returned nothing; return {_RETURNS}")
    value = _plain(value)
    if isinstance(value, bool):
        return Finding(0 if value else 1)
    if isinstance(value, int):
        return Finding(value)
    if isinstance(value, (float, decimal.Decimal, str)):
        raise TypeError(f"the check returned {value!r}; return {_RETURNS}")
    return Finding(rows=value)


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python, and a whole one as an int: a sum of whole numbers may
    come as a decimal or a float."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, (float, decimal.Decimal)) and math.isfinite(value) and value % 1 == 0:
        return int(value)
    return value


def _failures(found: Finding, table: Any) -> int:
    failures = _plain(found.failures)
    if not isinstance(found.description, str):
        raise TypeError(f"`description` is {found.description!r}; it must be a text")
    if failures is None:
        if table is None:
            raise TypeError("the Finding has neither `failures` nor `rows`; give it one of them")
        return int(table.num_rows)
    return _number("failures", failures)


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"`{name}` is {value!r}; it must be a number of rows")
    return value


def _table(rows: Any) -> Any:
    """The rows as an Arrow table; one without columns where there are none and no names of them."""
    import pyarrow as pa

    if isinstance(rows, (list, tuple)):
        if not rows:
            return pa.table({})
        if all(isinstance(row, tuple) for row in rows):  # of fetchall()
            rows = [{f"column{at}": cell for at, cell in enumerate(row, 1)} for row in rows]
        elif not any(isinstance(row, Mapping) for row in rows):  # tables, of an iterator
            rows = iter(rows)
    found = to_arrow(rows, "what the check returned")
    if hasattr(found, "num_rows"):
        return found
    return (
        found.read_all()
        if hasattr(found, "read_all")
        else pa.Table.from_batches(list(found), found.schema)
    )


def _sample(table: Any, limit: int | None) -> tuple[list[str], list[tuple[str | None, ...]]]:
    if table is None or not table.num_rows:
        return [], []
    shown = table.slice(0, shown_rows(limit)).select(range(min(table.num_columns, MOST_COLUMNS)))
    columns = [_texts(column) for column in shown.columns]
    return list(shown.column_names), list(zip(*columns, strict=True))


def _texts(column: Any) -> list[str | None]:
    """The values as texts, as the warehouses write them where Arrow does."""
    import pyarrow as pa

    with suppress(pa.ArrowException):
        return [_cut(text) for text in column.cast(pa.string()).to_pylist()]
    return [None if value is None else _cut(str(value)) for value in column.to_pylist()]


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MOST_CHARACTERS]


def _stored(table: Any, check: CheckTask, connection: StepConnection) -> str:
    """The file with the rows that the check stores; "" for none."""
    if check.store is None or table is None or not table.num_columns:
        return ""
    kept = table if check.limit is None else table.slice(0, check.limit)
    return connection.use(lambda session: session.write_bulk(kept))


# What it prints ----------------------------------------------------------------------------------


class _Labelled:
    """A stream of texts whose lines begin with the name of the check that prints them."""

    def __init__(self, stream: Any, label: str) -> None:
        self._stream, self._label, self._within_line = stream, label, False

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._stream.write(line if self._within_line else f"{self._label}: {line}")
            self._within_line = not line.endswith("\n")
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def end_line(self) -> None:
        if self._within_line:
            self.write("\n")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _labelled(name: str) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    mine = [_Labelled(stream, name) for stream in before]
    sys.stdout, sys.stderr = mine
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in mine:
            with suppress(Exception):
                stream.end_line()
