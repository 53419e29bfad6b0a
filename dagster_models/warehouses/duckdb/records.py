"""The commit records in DuckDB: their table, writing one, reading them.

``run`` is a session's: it takes a statement, and parameters or None, and returns the rows.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.records import COLUMNS, FORMAT, RECORDS, refuse_newer

Run: TypeAlias = Callable[..., Any]

#: The table of one row that has the number of the format.
FORMATS = Relation(RECORDS.schema, "format")
_LISTED = ", ".join(f'"{name}"' for name in COLUMNS)
_KEY = "run_id, step, attempt"
_DDL = (
    f"CREATE TABLE IF NOT EXISTS {quoted(RECORDS)} (run_id VARCHAR, step VARCHAR,"
    " attempt INTEGER, relation VARCHAR, code_version VARCHAR, input_versions JSON,"
    ' "rows" BIGINT, committed_at TIMESTAMP)'
)
#: Format -> what makes it of the one before. Each statement may be run twice, as the process may
#: end after any of them.
_MIGRATIONS: dict[int, Sequence[str]] = {
    2: (
        # Format 1 had no key; an index takes no table that holds a key twice.
        f"DELETE FROM {quoted(RECORDS)} WHERE rowid NOT IN"
        f" (SELECT max(rowid) FROM {quoted(RECORDS)} GROUP BY {_KEY})",
        f"CREATE UNIQUE INDEX IF NOT EXISTS commits_key ON {quoted(RECORDS)} ({_KEY})",
    ),
}


def prepare(run: Run, schemas: Sequence[str]) -> None:
    """The schemas, and the table in the format that this program knows.

    IF NOT EXISTS of a name that is there writes nothing, so it conflicts with nobody.
    """
    found = _format(run)
    refuse_newer(found)
    for schema in dict.fromkeys((*schemas, RECORDS.schema)):
        run(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")
    if found == FORMAT:
        return
    run(_DDL)
    for number in range((found or 1) + 1, FORMAT + 1):
        for statement in _MIGRATIONS[number]:
            run(statement)
    run(f"CREATE TABLE IF NOT EXISTS {quoted(FORMATS)} (version INTEGER)")
    run(f"INSERT INTO {quoted(FORMATS)} VALUES ({FORMAT})")


def _format(run: Run) -> int | None:
    """The format of the database, None where it has no number: it is new, or has format 1."""
    try:
        rows = run(f"SELECT max(version) FROM {quoted(FORMATS)}")
    except WarehouseError as error:
        if error.kind is ErrorKind.MISSING_RELATION:
            return None
        raise
    return None if rows[0][0] is None else int(rows[0][0])


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
    run(f"INSERT INTO {quoted(RECORDS)} ({_LISTED}) VALUES ({', '.join(values)})")


def find(run: Run, attempt: AttemptId) -> Commit | None:
    found = _read(run, "WHERE run_id = ? AND step = ? AND attempt = ?", list(attempt))
    return found[0] if found else None


def last(run: Run) -> list[Commit]:
    """The last one of each relation."""
    which = "QUALIFY row_number() OVER (PARTITION BY relation ORDER BY committed_at DESC) = 1"
    return _read(run, which, None)


def _read(run: Run, which: str, parameters: Sequence[Any] | None) -> list[Commit]:
    try:
        rows = run(f"SELECT {_LISTED} FROM {quoted(RECORDS)} {which}", parameters)
    except WarehouseError as error:
        if error.kind is ErrorKind.MISSING_RELATION:  # no run ever prepared this database
            return []
        raise
    return [
        Commit.of_row((*row[:7], row[7].replace(tzinfo=dt.timezone.utc).isoformat()))
        for row in rows
    ]
