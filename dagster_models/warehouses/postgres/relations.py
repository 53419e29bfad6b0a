"""Putting a relation in the place of another one, and keeping what hangs on it.

A table whose columns stay the same is filled anew in place: the new rows are built in a temporary
table (a parallel query, and nothing in the write-ahead log), then DELETE and INSERT. So views of
others, grants, comments, indexes, triggers and policies survive because nothing happens to them;
no reader waits, and none makes us wait; a long transaction goes on to see what it saw. TRUNCATE
would be faster, but locks out every reader until COMMIT, and shows an empty table to older
snapshots. Measured on 1M x 10 rows: see docs/warehouses.md.

A relation whose columns or kind change is made anew, and what hung on it is made again in the same
transaction: views that read it, and all that dependent_objects.py knows. A view of somebody else
that does not work with the new columns refuses the change; one that a model of ours built is gone
until its own step builds it again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import RECORDS, quoted
from dagster_models.warehouses.postgres.copy_to_arrow import OutColumn
from dagster_models.warehouses.postgres.dependent_objects import (
    KINDS,
    Runner,
    dependent_objects,
    make_again,
    refuse_what_cannot_be_kept,
)
from dagster_models.warehouses.postgres.errors import sqlstate

_STAGING = 'pg_temp."dagster_models_new"'

#: Makes the table of that name and fills it; the number of rows. The bool: it is a temporary one.
Fill = Callable[[str, bool], int]


def create_table(name: str, temporary: bool, definitions: str = "") -> str:
    """The head of a CREATE TABLE, up to its columns or AS."""
    columns = f" ({definitions})" if definitions else ""
    if temporary:
        return f"CREATE TEMPORARY TABLE {name}{columns} ON COMMIT DROP"
    return f"CREATE TABLE {name}{columns}"


def find(session: Runner, name: str) -> tuple[int, str] | None:
    """(OID, kind) of the relation that bears the name; None where there is none.

    Kinds are PostgreSQL's letters: r table, p partitioned table, v view, m materialized view.
    """
    rows = session.run(
        "SELECT oid::bigint, relkind::text FROM pg_class WHERE oid = to_regclass(%s)", [name]
    )
    return (rows[0][0], rows[0][1]) if rows else None


def columns(session: Runner, name: str) -> tuple[tuple[str, str], ...]:
    """(name, type) of each column, in order."""
    rows = session.run(
        "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [name],
    )
    return tuple((column, type_) for column, type_ in rows)


def put_table(session: Runner, name: str, fill: Fill) -> int:
    """A table with what ``fill`` makes, in place of what bears the name; its rows."""
    found = find(session, name)
    if found is None or found[1] not in ("r", "p"):
        fill_it = partial(fill, name, False)
        rows = int(fill_it() if found is None else _remake(session, name, found, fill_it))
        session.run(f"ANALYZE {name}")
        return rows
    _refuse_hidden_rows(session, found[0], name)
    session.run(f"DROP TABLE IF EXISTS {_STAGING}")
    rows = fill(_STAGING, True)
    session.about(found[0])
    # Shuts out other writers and no reader. Without it a second writer would wait for our rows,
    # see that they are gone, and leave those that we put in their place beside its own.
    session.run(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
    found = find(session, name) or found  # another writer may have remade it while we waited
    same = _columns_for_insert(session, found[0], _STAGING)
    if same:
        session.run(f"DELETE FROM {name}")
        overriding = "OVERRIDING SYSTEM VALUE"  # a column may have become an identity
        session.run(f"INSERT INTO {name} ({same}) {overriding} SELECT {same} FROM {_STAGING}")
    else:
        again = f"CREATE TABLE {name} AS SELECT * FROM {_STAGING}"
        _remake(session, name, found, lambda: session.run(again))
    session.run(f"DROP TABLE {_STAGING}")
    session.run(f"ANALYZE {name}")
    return rows


def put_view(session: Runner, name: str, sql: str) -> None:
    """A view of a query, in place of what bears the name."""
    head = f"CREATE OR REPLACE VIEW {name} AS\n"

    def make() -> None:
        session.run(f"{head}{sql}\n", lines_before=head.count("\n"), single=True)

    found = find(session, name)
    if found is None:
        make()
        return
    session.about(found[0])
    if found[1] == "v":
        session.run("SAVEPOINT dagster_models")
        try:
            make()
            return
        except WarehouseError as error:
            # Its columns change otherwise than by new ones at the end.
            if sqlstate(error.__cause__) != "42P16":
                raise
            session.run("ROLLBACK TO SAVEPOINT dagster_models")
    _remake(session, name, found, make)


def _refuse_hidden_rows(session: Runner, oid: int, name: str) -> None:
    """DELETE would spare, in silence, the rows that a policy hides from us."""
    if session.run("SELECT row_security_active(%s::oid)", [oid])[0][0]:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"row-level security holds for this user on {name}, so that it cannot replace all rows:"
            " build as its owner (without FORCE ROW LEVEL SECURITY), or as a role with BYPASSRLS",
            name="RowLevelSecurity",
        )


def _columns_for_insert(session: Runner, old: int, new: str) -> str | None:
    """The quoted columns, where both tables have the same ones; else None."""
    rows = session.run(
        "SELECT attrelid = %s, array_agg(attname::text || ' ' || atttypid || ' ' || atttypmod"
        " || ' ' || attcollation ORDER BY attnum), string_agg(quote_ident(attname), ', '"
        " ORDER BY attnum) FROM pg_attribute WHERE attrelid IN (%s, %s::regclass) AND attnum > 0"
        " AND NOT attisdropped GROUP BY attrelid",
        [old, old, new],
    )
    by_age = {is_old: (described, listed) for is_old, described, listed in rows}
    if by_age.get(True, (None,))[0] != by_age.get(False, (0,))[0]:
        return None
    return str(by_age[False][1])


# Made anew ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Dependent:
    """A view that reads the relation, at whatever distance; ``again``: what makes it once more."""

    oid: int
    name: str
    materialized: bool
    again: tuple[str, ...]


_DEPENDENTS = """
WITH RECURSIVE found(oid, depth) AS (
    SELECT DISTINCT rule.ev_class, 1
    FROM pg_depend AS link
    JOIN pg_rewrite AS rule ON rule.oid = link.objid
    WHERE link.classid = 'pg_rewrite'::regclass AND link.refclassid = 'pg_class'::regclass
      AND link.refobjid = %s AND rule.ev_class <> link.refobjid
    UNION
    SELECT rule.ev_class, found.depth + 1
    FROM found
    JOIN pg_depend AS link ON link.refobjid = found.oid
    JOIN pg_rewrite AS rule ON rule.oid = link.objid
    WHERE link.classid = 'pg_rewrite'::regclass AND link.refclassid = 'pg_class'::regclass
      AND rule.ev_class <> link.refobjid
)
SELECT c.oid::bigint, format('%%I.%%I', n.nspname, c.relname), c.relkind = 'm',
       format('CREATE %%s VIEW %%I.%%I%%s AS%%s', CASE c.relkind WHEN 'm' THEN 'MATERIALIZED' END,
              n.nspname, c.relname, ' WITH (' || array_to_string(c.reloptions, ', ') || ')',
              chr(10) || rtrim(pg_get_viewdef(c.oid), ';'))
FROM (SELECT oid, max(depth) AS depth FROM found GROUP BY oid) AS views
JOIN pg_class AS c ON c.oid = views.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY views.depth, c.oid
"""


def _remake(session: Runner, name: str, old: tuple[int, str], make: Callable[[], Any]) -> Any:
    """Drop the old relation and the views on it, make the new one, and all that hung on it."""
    oid, kind = old
    if kind not in ("r", "p", "v"):
        what = {"m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{name} is {what.get(kind, 'no table or view')} that no model builds:"
            " give the model another name (alias), or drop it",
            name="WrongObjectType",
        )
    refuse_what_cannot_be_kept(session, oid, name, kind)
    dependents = _dependents(session, oid)
    session.about(oid, *(view.oid for view in dependents))
    kept = dependent_objects(session, oid, name, kind)
    for view in reversed(dependents):
        session.run(f"DROP {KINDS['m' if view.materialized else 'v']} {view.name}")
    session.run(f"DROP {KINDS[kind]} {name}")
    made = make()
    found = find(session, name)
    there = {column for column, _ in columns(session, name)}
    make_again(session, kept, name, (kind, found[1] if found else "r"), there)
    for view in dependents:
        _remake_view(session, view, name)
    return made


def _dependents(session: Runner, oid: int) -> list[_Dependent]:
    found = []
    for view_oid, name, materialized, sql in session.run(_DEPENDENTS, [oid]):
        kept = dependent_objects(session, view_oid, name, "m" if materialized else "v")
        again = (sql, *(dependent.sql for dependent in kept))
        found.append(_Dependent(view_oid, name, materialized, again))
    return found


def _remake_view(session: Runner, view: _Dependent, name: str) -> None:
    session.run("SAVEPOINT dagster_models_view")
    try:
        for statement in view.again:
            session.run(statement)
    except WarehouseError as error:
        # Class 42: the definition does not fit the new columns; all else is no matter of the view.
        if not sqlstate(error.__cause__).startswith("42"):
            raise
        session.run("ROLLBACK TO SAVEPOINT dagster_models_view")
        if not _is_ours(session, view.name):
            raise WarehouseError(
                ErrorKind.NOT_KEPT,
                f"the view {view.name}, which no model of a project built, reads {name} and does"
                f" not work with its new columns: {error.message.splitlines()[0]}. Change or drop"
                " that view first",
                name="DependentView",
            ) from error


def _is_ours(session: Runner, name: str) -> bool:
    rows = session.run(
        f"SELECT count(*) FROM {quoted(RECORDS)} WHERE relation ="
        " (SELECT string_agg(part, '.') FROM unnest(parse_ident(%s)) AS part)",
        [name],
    )
    return bool(rows[0][0])


# Looking up --------------------------------------------------------------------------------------


def holders(
    connection: psycopg.Connection, relations: Sequence[int], ours: Sequence[int]
) -> list[str]:
    """Who holds locks on the relations (of none: locks that shut out readers), a line each."""
    rows = connection.execute(
        """
        SELECT DISTINCT a.pid, a.usename, a.application_name, a.state,
               regexp_replace(left(a.query, 200), '\\s+', ' ', 'g')
        FROM pg_locks AS held JOIN pg_stat_activity AS a ON a.pid = held.pid
        WHERE held.granted AND held.locktype = 'relation' AND held.pid <> ALL(%(ours)s)
          AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND a.pid <> pg_backend_pid()
          AND (held.relation::bigint = ANY(%(relations)s)
               OR (%(relations)s = '{}' AND held.mode = 'AccessExclusiveLock'))
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
