"""What PostgreSQL's catalogs say about relations: which one has a name, its columns, its locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import psycopg

from dagster_models.warehouses.base import quoted
from dagster_models.warehouses.postgres.copy_to_arrow import OutColumn
from dagster_models.warehouses.records import RECORDS

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

#: Kinds of relations as PostgreSQL writes them, and what DROP and COMMENT ON call them.
KINDS = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}

#: The first key of the advisory locks by which sessions take turns: "dagm" as a number.
TURNS = 0x6461676D


class Runner(Protocol):
    """What these modules need of a session."""

    affected: int

    def run(
        self,
        sql: str,
        parameters: Parameters | None = None,
        *,
        lines_before: int = 0,
        single: bool = False,
    ) -> list[tuple[Any, ...]]: ...

    def about(self, *oids: int) -> None: ...


@dataclass(frozen=True, slots=True)
class StoredRelation:
    """The relation that has a name. ``kind`` is PostgreSQL's letter: r table, p partitioned table,
    v view, m materialized view, f foreign table. ``listened_to``: it, or a partition of it, may
    have triggers (those of foreign keys too) or rules."""

    oid: int
    kind: str
    listened_to: bool


def find(session: Runner, name: str) -> StoredRelation | None:
    """The relation that has the name; None where there is none."""
    rows = session.run(
        "SELECT oid::bigint, relkind::text, relhastriggers OR relhasrules OR relkind = 'p'"
        " FROM pg_class WHERE oid = to_regclass(%s)",
        [name],
    )
    return StoredRelation(*rows[0]) if rows else None


def columns(session: Runner, name: str) -> tuple[tuple[str, str], ...]:
    """(name, type) of each column, in order."""
    rows = session.run(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return tuple((column, type_) for column, type_ in rows)


def compared_type(session: Runner, type_: str) -> str:
    """The type that a domain restricts, which may be that of another domain; else the type."""
    rows = session.run(
        "WITH RECURSIVE domains AS (SELECT oid, typbasetype, typtypmod, 1 AS depth FROM pg_type"
        " WHERE oid = %s::regtype AND typtype = 'd' UNION ALL SELECT t.oid, t.typbasetype,"
        " CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE d.typtypmod END, depth + 1 FROM domains"
        " AS d JOIN pg_type AS t ON t.oid = d.typbasetype)"
        " SELECT format_type(oid, typtypmod) FROM domains ORDER BY depth DESC LIMIT 1",
        [type_],
    )
    return str(rows[0][0]) if rows else type_


def options(session: Runner, oid: int) -> str:
    """The options of a relation as CREATE takes them; empty where it has none."""
    rows = session.run(
        "SELECT ' WITH (' || string_agg(format('%%I = %%L', split_part(option, '=', 1),"
        " substr(option, strpos(option, '=') + 1)), ', ') || ')'"
        " FROM pg_class, unnest(reloptions) AS option WHERE pg_class.oid = %s",
        [oid],
    )
    return rows[0][0] or ""


def is_ours(session: Runner, name: str) -> bool:
    """A model of some project built the relation at least once."""
    rows = session.run(
        f"SELECT EXISTS (SELECT FROM {quoted(RECORDS)} WHERE relation ="
        " (SELECT string_agg(part, '.') FROM unnest(parse_ident(%s)) AS part))",
        [name],
    )
    return bool(rows[0][0])


def holders(
    connection: psycopg.Connection, relations: Sequence[int], ours: Sequence[int]
) -> list[str]:
    """A line for each session that holds a lock on one of the relations, or that has the turn that
    we wait for. Without relations: for each that locks readers out of anything."""
    rows = connection.execute(
        """
        SELECT DISTINCT a.pid, a.usename, a.application_name, a.state,
               regexp_replace(left(a.query, 200), '\\s+', ' ', 'g')
        FROM pg_locks AS held JOIN pg_stat_activity AS a ON a.pid = held.pid
        WHERE held.granted AND held.pid <> ALL(%(ours)s) AND a.pid <> pg_backend_pid()
          AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND CASE held.locktype
              WHEN 'advisory' THEN EXISTS (
                  SELECT FROM pg_locks AS wanted
                  WHERE NOT wanted.granted AND wanted.pid = ANY(%(ours)s)
                    AND wanted.locktype = 'advisory' AND wanted.database = held.database
                    AND (wanted.classid, wanted.objid, wanted.objsubid)
                        = (held.classid, held.objid, held.objsubid))
              WHEN 'relation' THEN held.relation::bigint = ANY(%(relations)s)
                  OR (%(relations)s = '{}' AND held.mode = 'AccessExclusiveLock')
              END
        ORDER BY a.pid LIMIT 5
        """,
        {"relations": list(relations), "ours": list(ours)},
    ).fetchall()
    return [
        f"pid {pid} (user {user}, application {application or '(no name)'}, {state}): {query}"
        for pid, user, application, state, query in rows
    ]


def out_columns(
    session: Runner, described: Sequence[tuple[str, int, int | None, int | None]]
) -> list[OutColumn]:
    """The columns of a query from its description: (name, OID of the type, precision, scale)."""
    oids = sorted({oid for _, oid, _, _ in described})
    types = {
        oid: (name, element, kind)
        for oid, name, element, kind in session.run(
            "SELECT t.oid::bigint, coalesce(base.typname, t.typname)::text,"
            " element.typname::text, t.typcategory::text FROM pg_type AS t"
            " LEFT JOIN pg_type AS base ON base.oid = nullif(t.typbasetype, 0)"
            " LEFT JOIN pg_type AS element"
            " ON element.oid = nullif(t.typelem, 0) AND t.typcategory = 'A'"
            " WHERE t.oid = ANY(%s)",
            [oids],
        )
    }
    found = []
    for name, oid, precision, scale in described:
        type_, element, _ = types[oid]
        found.append(OutColumn(name, element or type_, element is not None, precision, scale))
    return found
