"""Merging staged rows into their table by a key: only rows that differ are written.

Two ways, as warehouses differ in what a changed row costs:

    found -> UPDATE -> INSERT     rows stay where they are
    found -> DELETE -> INSERT     where rows are stored by columns: an UPDATE of rows that lie apart
                                  makes the warehouse write whole columns anew

A key that equals one of the table and is spelled otherwise ('A' for 'a', where a collation takes
them for one) is a change as any other, so that the table is as a build in full would make it.

There is no MERGE: PostgreSQL has it from version 15 on, and it counts no updates apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dagster_models.core.changes import Changes
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted
from dagster_models.warehouses.materializations.hooks import Hooks, Merging, Unwritten
from dagster_models.warehouses.materializations.keys import (
    refuse_keys_alike,
    refuse_keys_of_table,
)
from dagster_models.warehouses.materializations.write import Write

#: Columns beside the keys: they must not meet a user's.
_AT, _RESPELLED, _UNWRITTEN = (
    f"dagster_models_{word}" for word in ("at", "respelled", "unwritten")
)
#: More of them take too much of a server's memory: it holds them all, at some 50 bytes each.
_ADDRESSES = 500_000


def merge(session: Hooks, it: Write) -> Changes:
    """Update the rows whose key is known and whose values differ, and insert the others.

    Raises WarehouseError if the table holds one of these keys twice, or takes two of them for one.
    """
    rest = [quote(column) for column in it.columns if column not in it.keys]
    how = session.merging(it.relation, it.staged, list(map(quote, it.keys)), rest)
    refuse_keys_alike(session, it.relation, how.keys_source, it.keys)
    if how.rewrites:
        return _rewrite(session, it, how.changes)
    return _update(session, it, rest, how)


def _found(it: Write) -> Relation:
    """What the first statement keeps of what it finds in the table, so that the others need not
    read all of that."""
    return replace(it.staged, name="dagster_models_found")


def _rewrite(session: Hooks, it: Write, differs: str) -> Changes:
    """By the numbers of rows, in which nothing but this transaction can change anything."""
    found = quoted(_found(it))
    met = session.change(
        f"CREATE TEMPORARY TABLE {found} AS SELECT n.rowid AS given, t.rowid AS known,"
        f" {differs} AS differs FROM {it.new} AS n JOIN {it.table} AS t ON {it.meets}"
    )
    keys, updated = session.rows(
        f"SELECT count(DISTINCT given), count(*) FILTER (differs) FROM {found}"
    )[0]
    if met != keys:
        refuse_keys_of_table(session, it.relation, it.keys)
    if updated:
        session.change(
            f"DELETE FROM {it.table} AS t USING {found} AS f WHERE t.rowid = f.known AND f.differs"
        )
    # As a join: NOT EXISTS compares NULLs, too, which takes twice as long.
    same = f"(SELECT given FROM {found} WHERE NOT differs)"
    written = session.change(it.insert(f" ANTI JOIN {same} AS f ON f.given = n.rowid"))
    session.change(f"DROP TABLE {found}")
    return Changes("", None, written - updated, updated, 0)


def _update(session: Hooks, it: Write, rest: Sequence[str], how: Merging) -> Changes:
    found, address = quoted(_found(it)), session.address(it.relation)
    listed = [f"n.{quote(key)}" for key in it.keys]
    if address:
        listed.append(f"CASE WHEN {how.changes} THEN t.{address} END AS {_AT}")
    if how.respelled:
        listed.append(f"{how.respelled} AS {_RESPELLED}")
    if how.unwritten:
        listed.append(f"{' OR '.join(it.condition for it in how.unwritten)} AS {_UNWRITTEN}")
    there = session.change(
        f"CREATE TEMPORARY TABLE {found} AS SELECT {', '.join(listed)}"
        f" FROM {it.new} AS n JOIN {it.table} AS t ON {it.meets}"
    )
    respelled = bool(how.respelled) and _counted(session, it, _RESPELLED) > 0
    if respelled:
        session.refuse_effects(it.relation, deletes=False, updates=it.keys)
    if how.unwritten and _counted(session, it, _UNWRITTEN):
        _write_others(session, it, how.unwritten)
    updated, changed = 0, [*(map(quote, it.keys) if respelled else ()), *rest]
    if changed and (there or address is None):
        written = ", ".join(f"{column} = n.{column}" for column in changed)
        which = how.changes if respelled else how.differs
        updated = session.change(
            f"UPDATE {it.table} AS t SET {written} FROM {it.new} AS n"
            f" WHERE {it.meets} AND ({which}){_by_address(session, it, address)}"
        )
    if respelled:
        _refuse_equal(session, it, [*map(quote, it.keys)], how.respelled)
    among = []
    if address is None:
        among.append((it.table, it.meets))
    if address is not None or it.predicates:  # what was updated may not meet them any more
        among.append((found, it.same_key))
    unknown = (f"NOT EXISTS (SELECT 1 FROM {known} AS t WHERE {met})" for known, met in among)
    inserted = session.change(it.insert(f" WHERE {' AND '.join(unknown)}"))
    if address is None or there + inserted != it.count:
        refuse_keys_of_table(session, it.relation, it.keys, among=_found(it))
    session.change(f"DROP TABLE {found}")
    return Changes("", None, inserted, updated, 0)


def _counted(session: Hooks, it: Write, flag: str) -> int:
    return int(session.rows(f"SELECT count(*) FROM {quoted(_found(it))} WHERE {flag}")[0][0])


def _write_others(session: Hooks, it: Write, columns: Sequence[Unwritten]) -> None:
    """Write other values where an UPDATE would leave what equals the new ones. Not where a
    predicate decides which rows are meant: with another value a row may not meet it any more."""
    for left in columns:
        if left.meanwhile and not it.predicates:
            session.change(
                f"UPDATE {it.table} AS t SET {left.column} = {left.meanwhile} FROM {it.new} AS n"
                f" WHERE {it.meets} AND {left.condition}"
            )
        else:
            _refuse_equal(session, it, [left.column], left.condition)


def _refuse_equal(session: Hooks, it: Write, columns: Sequence[str], condition: str) -> None:
    """Raise WarehouseError if the table holds values that equal the new ones and are others.
    *columns* are quoted."""
    shown = ", ".join(f"CAST({row}.{name} AS VARCHAR)" for row in "nt" for name in columns)
    left = session.rows(
        f"SELECT {shown} FROM {it.new} AS n JOIN {it.table} AS t ON {it.meets}"
        f" WHERE {condition} LIMIT 1"
    )
    if left:
        new, old = (", ".join(part) for part in (left[0][: len(columns)], left[0][len(columns) :]))
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{it.relation} holds {old} in {', '.join(columns)}, which equals {new} of the new rows"
            " and is shown otherwise, and an UPDATE does not write the new value. Nothing was"
            " changed: let the query return what the table has, or build the model in full"
            " (`full_refresh`)",
            name="EqualValues",
        )


def _by_address(session: Hooks, it: Write, address: str | None) -> str:
    """What spares an UPDATE to read all of the table. It is only added to the other conditions, as
    rows of several partitions may have the same address."""
    if not address:
        return ""
    found = f"FROM {quoted(_found(it))} WHERE {_AT} IS NOT NULL"
    if session.rows(f"SELECT count(*) {found}")[0][0] > _ADDRESSES:
        return ""
    return f" AND t.{address} = ANY (ARRAY(SELECT {_AT} {found}))"
