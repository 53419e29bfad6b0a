"""The commit records in MariaDB: their table, and what makes a record a proof.

A record is written before the RENAME that publishes, as a statement that changes tables commits
what is open. It counts once its *proof* is there: an empty table, ``pending_<id>``, that the same
RENAME calls ``proof_<id>``. Afterwards the record says so itself, and the table is dropped. A
record that is written in a transaction with the rows of its table counts at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb.errors import MISSING_TABLE, NO_DATABASE, number_of
from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.records import (
    COLUMNS,
    FORMAT,
    RECORDS,
    from_last_whole,
    refuse_newer,
)

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.statements import MariaStatements

_DDL = f"""
CREATE TABLE IF NOT EXISTS {quoted(RECORDS)} (
    run_id VARCHAR(100), step VARCHAR(400), attempt INT, relation VARCHAR(200),
    code_version TEXT, input_versions LONGTEXT, `rows` BIGINT, committed_at DATETIME(6),
    part INT DEFAULT 0, kind VARCHAR(20) DEFAULT 'whole', window_start LONGTEXT,
    window_end LONGTEXT, since LONGTEXT, inserted BIGINT, updated BIGINT, deleted BIGINT,
    builder TEXT, identity VARCHAR(100), proof VARCHAR(40), is_published BOOLEAN,
    PRIMARY KEY (run_id, step, attempt, part), KEY (relation)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin
COMMENT = 'dagster-models: format {FORMAT}'
"""
#: A record without its proof is no record.
_COUNTS = (
    f"(is_published OR proof IN (SELECT substr(table_name, 7) FROM information_schema.tables"
    f" WHERE table_schema = '{RECORDS.schema}' AND table_name LIKE 'proof\\_%'))"
)
_AS_TEXT = {
    "committed_at": "date_format(committed_at, '%Y-%m-%dT%H:%i:%s.%f+00:00')",
}
_SELECTED = ", ".join(_AS_TEXT.get(name, quote(name)) for name in COLUMNS)


def pending_of(id_: str) -> Relation:
    return Relation(RECORDS.schema, f"pending_{id_}")


def proof_of(id_: str) -> Relation:
    return Relation(RECORDS.schema, f"proof_{id_}")


def prepare(session: MariaStatements) -> None:
    session.change(
        f"CREATE DATABASE IF NOT EXISTS {quote(RECORDS.schema)} CHARACTER SET utf8mb4"
        " COLLATE utf8mb4_nopad_bin"
    )
    session.change(_DDL)
    rows = session.rows(
        "SELECT table_comment FROM information_schema.tables"
        f" WHERE table_schema = '{RECORDS.schema}' AND table_name = '{RECORDS.name}'"
    )
    found = re.search(r"\bformat (\d+)", rows[0][0] if rows else "")
    refuse_newer(int(found[1]) if found else None)


def write(
    session: MariaStatements, commits: Iterable[Commit], proof: str, is_published: bool
) -> None:
    for commit in commits:
        values = {
            **{name: _sql(value) for name, value in commit.to_json().items()},
            "input_versions": literal(json.dumps(dict(commit.input_versions))),
            "committed_at": "UTC_TIMESTAMP(6)",
            "proof": literal(proof),
            "is_published": _sql(int(is_published)),
        }
        listed = ", ".join(map(quote, values))
        session.change(
            f"INSERT INTO {quoted(RECORDS)} ({listed}) VALUES ({', '.join(values.values())})"
        )


def _sql(value: object) -> str:
    if value is None or isinstance(value, dict):
        return "NULL"
    return str(value) if isinstance(value, int) else literal(str(value))


def settle(session: MariaStatements, id_: str) -> None:
    """Let the records of a proof say that it is there, and drop it."""
    session.change(f"UPDATE {quoted(RECORDS)} SET is_published = TRUE WHERE proof = {literal(id_)}")
    session.change(f"DROP TABLE IF EXISTS {quoted(proof_of(id_))}")


def forget(session: MariaStatements, id_: str) -> None:
    """Delete the records of a publication that can never take place."""
    session.change(
        f"DELETE FROM {quoted(RECORDS)} WHERE proof = {literal(id_)} AND NOT is_published"
    )


def unpublished(session: MariaStatements, attempt: AttemptId) -> list[str]:
    """The ids of publications of an attempt that have no proof (yet)."""
    where = f"{_of(attempt)} AND NOT {_COUNTS}"
    rows = session.rows(f"SELECT DISTINCT proof FROM {quoted(RECORDS)} WHERE {where}")
    return [id_ for (id_,) in rows]


def find(session: MariaStatements, of: AttemptId | Relation | None) -> list[Commit]:
    """Those of an attempt, or of a relation from the last one on that replaced all of it."""
    if isinstance(of, AttemptId):
        return _read(session, _of(of), "part")
    which = "TRUE" if of is None else f"relation = {literal(str(of))}"
    return from_last_whole(_read(session, which, "commits.committed_at, part"))


def last(session: MariaStatements, relations: Collection[Relation] | None) -> list[Commit]:
    """The last one of each of these relations, or of all."""
    which = "TRUE"
    if relations is not None:
        names = ", ".join(literal(str(relation)) for relation in relations)
        which = f"relation IN ({names})" if names else "FALSE"
    found = _read(session, which, "commits.committed_at, part")
    return list({commit.relation: commit for commit in found}.values())


def _of(attempt: AttemptId) -> str:
    return (
        f"run_id = {literal(attempt.run_id)} AND step = {literal(attempt.step)}"
        f" AND attempt = {attempt.attempt}"
    )


def _read(session: MariaStatements, which: str, order: str) -> list[Commit]:
    source = f"FROM {quoted(RECORDS)} WHERE {which} AND {_COUNTS} ORDER BY {order}"
    try:
        rows: Sequence[tuple[object, ...]] = session.rows(f"SELECT {_SELECTED} {source}")
    except WarehouseError as error:
        if number_of(error.__cause__) in (MISSING_TABLE, NO_DATABASE):
            return []  # no run ever prepared this server
        raise
    return [Commit.of_row(row) for row in rows]
