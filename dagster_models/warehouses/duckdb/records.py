"""The commit records in DuckDB: their table, writing one, reading them.

``run`` is a session's: it takes a statement, and parameters or None, and returns the rows.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import RECORDS, Commit, literal, quote, quoted

Run: TypeAlias = Callable[..., Any]


def prepare(run: Run, schemas: Sequence[str]) -> None:
    """The schemas, and the table.

    IF NOT EXISTS of a name that is there writes nothing, so it conflicts with nobody.
    """
    for schema in dict.fromkeys((*schemas, RECORDS.schema)):
        run(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
    run(
        f"CREATE TABLE IF NOT EXISTS {quoted(RECORDS)} (run_id VARCHAR, step VARCHAR,"
        " attempt INTEGER, relation VARCHAR, code_version VARCHAR, input_versions JSON,"
        ' "rows" BIGINT, committed_at TIMESTAMP)'
    )


def write(run: Run, commit: Commit) -> None:
    now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)  # the column is UTC
    # As literals: with its first parameters DuckDB imports pandas, 0.3 s in every run.
    values = (
        literal(commit.run_id),
        literal(commit.step),
        str(commit.attempt),
        literal(commit.relation),
        literal(commit.code_version),
        literal(json.dumps(dict(commit.input_versions))),
        "NULL" if commit.rows is None else str(commit.rows),
        literal(now.isoformat(" ")),
    )
    run(f"INSERT INTO {quoted(RECORDS)} VALUES ({', '.join(values)})")


def find(run: Run, run_id: str, step: str, attempt: int) -> Commit | None:
    found = _read(run, "WHERE run_id = ? AND step = ? AND attempt = ?", [run_id, step, attempt])
    return found[0] if found else None


def last(run: Run) -> list[Commit]:
    """The last one of each relation."""
    which = "QUALIFY row_number() OVER (PARTITION BY relation ORDER BY committed_at DESC) = 1"
    return _read(run, which, None)


def _read(run: Run, which: str, parameters: Sequence[Any] | None) -> list[Commit]:
    columns = ", ".join(f'"{name}"' for name in Commit.__dataclass_fields__)
    try:
        rows = run(f"SELECT {columns} FROM {quoted(RECORDS)} {which}", parameters)
    except WarehouseError as error:
        if error.kind is ErrorKind.MISSING_RELATION:  # no run ever prepared this database
            return []
        raise
    return [
        Commit.of_row((*row[:7], row[7].replace(tzinfo=dt.timezone.utc).isoformat()))
        for row in rows
    ]
