"""The commit records in PostgreSQL: their table, writing one, reading them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.postgres.catalog import Runner
from dagster_models.warehouses.postgres.catalog import find as find_relation
from dagster_models.warehouses.records import (
    ADDED_IN_3,
    ADDED_IN_4,
    COLUMNS,
    FORMAT,
    RECORDS,
    from_last_whole,
    refuse_newer,
)

#: One for all processes that prepare this database: "dagster-m" as a number.
_PREPARE_LOCK = 0x64616773_7465722D
_AS_TEXT = {
    "input_versions": "input_versions::text",
    "committed_at": (
        "to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    ),
}
_SELECTED = ", ".join(_AS_TEXT.get(name, name) for name in COLUMNS)
_DDL = (
    f"CREATE TABLE IF NOT EXISTS {quoted(RECORDS)} (run_id text, step text, attempt integer,"
    " relation text, code_version text, input_versions jsonb, rows bigint,"
    f" committed_at timestamptz, {', '.join(map(' '.join, {**ADDED_IN_3, **ADDED_IN_4}.items()))},"
    " CONSTRAINT commits_pkey PRIMARY KEY (run_id, step, attempt, part))"
)
#: The number of the format is the table's comment: whoever may see the table may read it.
_MARK = f"COMMENT ON TABLE {quoted(RECORDS)} IS 'dagster-models: format {FORMAT}'"


def _adding(columns: Mapping[str, str]) -> str:
    return ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {type_}" for name, type_ in columns.items())


#: Format -> what makes it of the one before.
_MIGRATIONS: dict[int, Sequence[str]] = {
    2: (),  # format 1 had its key in this warehouse, and no number
    3: (
        f"ALTER TABLE {quoted(RECORDS)} {_adding(ADDED_IN_3)},"
        " DROP CONSTRAINT IF EXISTS commits_pkey,"
        " ADD CONSTRAINT commits_pkey PRIMARY KEY (run_id, step, attempt, part)",
    ),
    4: (f"ALTER TABLE {quoted(RECORDS)} {_adding(ADDED_IN_4)}",),
    5: (),
}


def prepare(session: Runner, schemas: Sequence[str]) -> None:
    """In a transaction: the schemas, and the table in the format that this program knows.

    What is there is not made again: that takes rights which a user may not have. And two that make
    one name at once would collide, IF NOT EXISTS or not.
    """
    wanted = list(dict.fromkeys((*schemas, RECORDS.schema)))
    if _missing(session, wanted):
        session.run("SELECT pg_advisory_xact_lock(%s)", [_PREPARE_LOCK])
        for statement in _missing(session, wanted):
            session.run(statement)


def _missing(session: Runner, schemas: Sequence[str]) -> list[str]:
    """The statements that are still to be run."""
    rows = session.run("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", [list(schemas)])
    there = {name for (name,) in rows}
    statements = [f"CREATE SCHEMA {quote(schema)}" for schema in schemas if schema not in there]
    if RECORDS.schema not in there:
        return [*statements, _DDL, _MARK]
    found = session.run(
        "SELECT obj_description(oid, 'pg_class'), pg_has_role(relowner, 'MEMBER')"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [quoted(RECORDS)],
    )
    if not found:
        return [*statements, _DDL, _MARK]
    ((comment, is_owner),) = found
    number = _format_of(comment)
    refuse_newer(number)
    due = [each for later in range(number + 1, FORMAT + 1) for each in _MIGRATIONS[later]]
    if due and not is_owner:
        raise WarehouseError(
            ErrorKind.PERMISSION,
            f"the commit records of this database have format {number}, and this dagster-models"
            f" needs format {FORMAT}; only the owner of {quoted(RECORDS)} can change it: let that"
            " role run this version once",
            name="InsufficientPrivilege",
        )
    # Only the owner may write the mark; where no statement was due, it need not be there.
    return [*statements, *due, _MARK] if number < FORMAT and is_owner else statements


def _format_of(comment: str | None) -> int:
    """The format that the table's comment names; without one it is of format 1."""
    found = re.search(r"\bformat (\d+)", comment or "")
    return int(found[1]) if found else 1


def histories(session: Runner) -> list[str]:
    """The names of the relations that were snapshots at some time."""
    rows = session.run(f"SELECT DISTINCT relation FROM {quoted(RECORDS)} WHERE kind = 'snapshot'")
    return [name for (name,) in rows]


def write(session: Runner, commit: Commit) -> None:
    values = {**commit.to_json(), "input_versions": json.dumps(dict(commit.input_versions))}
    del values["committed_at"]
    session.run(
        f"INSERT INTO {quoted(RECORDS)} ({', '.join(values)}, committed_at)"
        f" VALUES ({', '.join(['%s'] * len(values))}, clock_timestamp())",
        list(values.values()),
    )


def find(session: Runner, of: AttemptId | Relation | None) -> list[Commit]:
    """Those of an attempt, or of a relation from the last one on that replaced all of it."""
    if isinstance(of, AttemptId):
        which = "WHERE run_id = %s AND step = %s AND attempt = %s ORDER BY part"
        return _read(session, "", which, list(of))
    which = "WHERE relation = %s ORDER BY commits.committed_at, part"
    return from_last_whole(_read(session, "", which, [str(of)]))


def last(session: Runner, relations: Collection[Relation] | None) -> list[Commit]:
    """The last one of each of these relations, or of all."""
    known = "" if relations is None else "WHERE relation = ANY(%s) "
    names = [] if relations is None else [[str(relation) for relation in relations]]
    which = f"{known}ORDER BY relation, commits.committed_at DESC, part DESC"
    return _read(session, "DISTINCT ON (relation)", which, names)


def _read(session: Runner, distinct: str, which: str, parameters: list[Any]) -> list[Commit]:
    if find_relation(session, quoted(RECORDS)) is None:  # no run ever prepared this database
        return []
    rows = session.run(
        f"SELECT {distinct} {_SELECTED} FROM {quoted(RECORDS)} {which}",
        parameters,
    )
    return [Commit.of_row(row) for row in rows]
