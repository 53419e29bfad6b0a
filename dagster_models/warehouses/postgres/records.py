"""The commit records in PostgreSQL: their table, writing one, reading them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dagster_models.warehouses.base import RECORDS, Commit, quote, quoted
from dagster_models.warehouses.postgres.catalog import Runner
from dagster_models.warehouses.postgres.catalog import find as find_relation

#: One for all processes that prepare this database: "dagster-m" as a number.
_PREPARE_LOCK = 0x64616773_7465722D
_RECORDS_DDL = (
    f"CREATE TABLE IF NOT EXISTS {quoted(RECORDS)} (run_id text, step text, attempt integer,"
    " relation text, code_version text, input_versions jsonb, rows bigint,"
    " committed_at timestamptz, PRIMARY KEY (run_id, step, attempt))"
)


def prepare(session: Runner, schemas: Sequence[str]) -> None:
    """In a transaction: the schemas, and the table.

    What is there is not made again: that takes rights which a user may not have. And two that make
    one name at once would collide, IF NOT EXISTS or not.
    """
    wanted = list(dict.fromkeys((*schemas, RECORDS.schema)))
    if _missing(session, wanted):
        session.run("SELECT pg_advisory_xact_lock(%s)", [_PREPARE_LOCK])
        for statement in _missing(session, wanted):
            session.run(statement)


def _missing(session: Runner, schemas: Sequence[str]) -> list[str]:
    rows = session.run("SELECT nspname FROM pg_namespace WHERE nspname = ANY(%s)", [list(schemas)])
    found = {name for (name,) in rows}
    ddl = [f"CREATE SCHEMA {quote(schema)}" for schema in schemas if schema not in found]
    records = RECORDS.schema in found and find_relation(session, quoted(RECORDS)) is not None
    return ddl if records else [*ddl, _RECORDS_DDL]


def write(session: Runner, commit: Commit) -> None:
    session.run(
        f"INSERT INTO {quoted(RECORDS)} VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp())",
        [
            commit.run_id,
            commit.step,
            commit.attempt,
            commit.relation,
            commit.code_version,
            json.dumps(dict(commit.input_versions)),
            commit.rows,
        ],
    )


def find(session: Runner, run_id: str, step: str, attempt: int) -> Commit | None:
    which = "WHERE run_id = %s AND step = %s AND attempt = %s"
    found = _read(session, "", which, [run_id, step, attempt])
    return found[0] if found else None


def last(session: Runner) -> list[Commit]:
    """The last one of each relation."""
    which = "ORDER BY relation, committed_at DESC"
    return _read(session, "DISTINCT ON (relation)", which, [])


def _read(session: Runner, distinct: str, which: str, parameters: list[Any]) -> list[Commit]:
    if find_relation(session, quoted(RECORDS)) is None:  # no run ever prepared this database
        return []
    rows = session.run(
        f"SELECT {distinct} run_id, step, attempt, relation, code_version,"
        " input_versions::text, rows,"
        " to_char(committed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
        f" FROM {quoted(RECORDS)} {which}",
        parameters,
    )
    return [Commit.of_row(row) for row in rows]
