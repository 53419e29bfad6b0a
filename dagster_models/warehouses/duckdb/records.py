"""The commit records in DuckDB: their table, writing one, reading them.

``run`` is a session's: it takes a statement, and parameters or None, and returns the rows.
``catalog`` is the database's own name: without it, a schema of that name would be ambiguous.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.records import (
    ADDED_IN_3,
    ADDED_IN_4,
    COLUMNS,
    FORMAT,
    RECORDS,
    from_last_whole,
    refuse_newer,
)

Run: TypeAlias = Callable[..., Any]

_LISTED = ", ".join(f'"{name}"' for name in COLUMNS)
_KEY = "run_id, step, attempt"
_UNIQUE = "CREATE UNIQUE INDEX IF NOT EXISTS commits_key ON {records}"
DDL = (
    "CREATE TABLE IF NOT EXISTS {records} (run_id VARCHAR, step VARCHAR,"
    " attempt INTEGER, relation VARCHAR, code_version VARCHAR, input_versions JSON,"
    ' "rows" BIGINT, committed_at TIMESTAMP)'
)


def _adding(columns: Mapping[str, str]) -> Sequence[str]:
    """The statements that add columns: DuckDB adds none to a table that has an index."""
    return (
        "DROP INDEX IF EXISTS {index}",
        *(
            f"ALTER TABLE {{records}} ADD COLUMN IF NOT EXISTS {name} {type_}"
            for name, type_ in columns.items()
        ),
        f"{_UNIQUE} ({_KEY}, part)",
    )


#: Format -> what makes it of the one before; {records} is the table, {index} its index. Each
#: statement may be run twice, as the process may end after any of them.
_MIGRATIONS: dict[int, Sequence[str]] = {
    2: (
        # Format 1 had no key; an index takes no table that holds a key twice.
        "DELETE FROM {records} WHERE rowid NOT IN"
        f" (SELECT max(rowid) FROM {{records}} GROUP BY {_KEY})",
        f"{_UNIQUE} ({_KEY})",
    ),
    3: _adding(ADDED_IN_3),
    4: _adding(ADDED_IN_4),
    5: (),
}


def prepare(run: Run, catalog: str, schemas: Sequence[str]) -> None:
    """The schemas, and the table in the format that this program knows.

    IF NOT EXISTS of a name that is there writes nothing, so it conflicts with nobody.
    """
    found = format_of(run, catalog)
    refuse_newer(found)
    for schema in dict.fromkeys((*schemas, RECORDS.schema)):
        run(f"CREATE SCHEMA IF NOT EXISTS {quote(catalog)}.{quote(schema)}")
    if found == FORMAT:
        return
    index = quoted(Relation(RECORDS.schema, "commits_key", catalog))
    for statement in (DDL, *_due(found or 1)):
        run(statement.format(records=_records(catalog), index=index))
    run(f"CREATE TABLE IF NOT EXISTS {_formats(catalog)} (version INTEGER)")
    run(f"INSERT INTO {_formats(catalog)} VALUES ({FORMAT})")


def _due(found: int) -> Iterator[str]:
    for number in range(found + 1, FORMAT + 1):
        yield from _MIGRATIONS[number]


def _records(catalog: str) -> str:
    return quoted(Relation(RECORDS.schema, RECORDS.name, catalog))


def _formats(catalog: str) -> str:
    """The table of one row that has the number of the format."""
    return quoted(Relation(RECORDS.schema, "format", catalog))


def format_of(run: Run, catalog: str) -> int | None:
    """The format of the database, None where it has no number: it is new, or has format 1."""
    try:
        rows = run(f"SELECT max(version) FROM {_formats(catalog)}")
    except WarehouseError as error:
        if error.kind is ErrorKind.MISSING_RELATION:
            return None
        raise
    return None if rows[0][0] is None else int(rows[0][0])


def histories(run: Run, catalog: str) -> list[str]:
    """The names of the relations that were snapshots at some time."""
    rows = run(f"SELECT DISTINCT relation FROM {_records(catalog)} WHERE kind = 'snapshot'")
    return [name for (name,) in rows]


def write(run: Run, catalog: str, commit: Commit) -> None:
    now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None)  # the column is UTC
    values = {
        **commit.to_json(),
        "input_versions": json.dumps(dict(commit.input_versions)),
        "committed_at": now.isoformat(" "),
    }
    # As literals: with its first parameters DuckDB imports pandas, 0.3 s in every run.
    listed = ", ".join(_literal(values[name]) for name in COLUMNS)
    # SELECT: DuckDB takes half as long again to plan one row of VALUES.
    run(f"INSERT INTO {_records(catalog)} ({_LISTED}) SELECT {listed}")


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return literal(value) if isinstance(value, str) else str(value)


def find(run: Run, catalog: str, of: AttemptId | Relation | None) -> list[Commit]:
    """Those of an attempt, or of a relation from the last one on that replaced all of it."""
    if isinstance(of, AttemptId):
        which = "WHERE run_id = ? AND step = ? AND attempt = ? ORDER BY part"
        return _read(run, catalog, which, list(of))
    which = "WHERE relation = ? ORDER BY committed_at, part"
    return from_last_whole(_read(run, catalog, which, [str(of)]))


def last(run: Run, catalog: str, relations: Collection[Relation] | None) -> list[Commit]:
    """The last one of each of these relations, or of all."""
    names = ", ".join(literal(str(relation)) for relation in relations or ())
    known = "" if relations is None else f"WHERE relation IN ({names or 'NULL'}) "
    order = "ORDER BY committed_at DESC, part DESC"
    which = f"QUALIFY row_number() OVER (PARTITION BY relation {order}) = 1"
    if relations is not None and len(relations) == 1:  # this takes two thirds of the time
        which = f"{order} LIMIT 1"
    return _read(run, catalog, known + which, None)


def _read(run: Run, catalog: str, which: str, parameters: Sequence[Any] | None) -> list[Commit]:
    try:
        rows = run(f"SELECT {_LISTED} FROM {_records(catalog)} {which}", parameters)
    except WarehouseError as error:
        if error.kind is ErrorKind.MISSING_RELATION:  # no run ever prepared this database
            return []
        raise
    return [
        Commit.of_row((*row[:7], row[7].replace(tzinfo=dt.timezone.utc).isoformat(), *row[8:]))
        for row in rows
    ]
