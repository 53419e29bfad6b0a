"""Putting new rows into their table: the strategies of an incremental model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb.text import exact
from dagster_models.warehouses.mariadb.types import ColumnType
from dagster_models.warehouses.materializations.keys import refuse_keys_of_table
from dagster_models.warehouses.materializations.merge_conditions import conditions_of, is_left_out

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.reading import MariaReading

Pairs = tuple[tuple[str, str], ...]
"""Columns: (the name in the table, in the new rows)."""

#: Columns of the index of new rows: one has 3,072 bytes at most, and a column of texts up to 400.
_INDEXED = 7


@dataclass(frozen=True, slots=True)
class RowWrite:
    """What the statements that write the new rows, ``count`` of them, are made of. In SQL, t is a
    row of the table and n a new one.

    ``updated``: the columns that a merge writes in rows whose key is known.
    ``target`` has the rows of ``relation``: itself, or a copy that is to take its place.
    ``types``: those of the relation's columns.
    """

    session: MariaReading
    relation: Relation
    target: Relation
    new: Relation
    count: int
    columns: Pairs
    keys: Pairs
    updated: Pairs
    types: Mapping[str, str]

    def same_key(self, row: str = "t") -> str:
        return " AND ".join(f"{row}.{quote(its)} = n.{quote(new)}" for its, new in self.keys)

    @property
    def joined(self) -> str:
        """Each row of the table with the new ones of its key."""
        return f"{quoted(self.target)} AS t JOIN {quoted(self.new)} AS n ON {self.same_key()}"

    def insert(self, which: str = "") -> int:
        return self.session.change(insert(self.target, self.new, self.columns) + which)


def differs(types: Mapping[str, str], its: str, new: str) -> str:
    """The condition that the values of a column are shown otherwise in t and n: a collation may
    take them for equal. *types*: those of the columns of the table."""
    values = f"t.{quote(its)}", f"n.{quote(new)}"
    if ColumnType.of(types.get(its, "")).is_text:
        values = exact(values[0]), exact(values[1])
    return "NOT ({} <=> {})".format(*values)


def index_keys(session: MariaReading, new: Relation, columns: Pairs, keys: Sequence[str]) -> None:
    """Let a row of the table find the new one of its key: the table may have no index."""
    if not keys:
        return
    types = dict(session.columns_of(quoted(new)))
    wanted = {key.lower() for key in keys}
    parts = []
    for name in (given for its, given in columns if its.lower() in wanted):
        length = "(100)" if ColumnType.of(types[name]).is_long else ""
        parts.append(f"{quote(name)}{length}")
    parts = parts[:_INDEXED]
    session.change(f"ALTER TABLE {quoted(new)} ADD INDEX dagster_models_keys ({', '.join(parts)})")


def insert(target: Relation, new: Relation, columns: Sequence[tuple[str, str]]) -> str:
    """The statement that adds the new rows."""
    listed = ", ".join(quote(its) for its, _ in columns)
    given = ", ".join(f"n.{quote(name)}" for _, name in columns)
    return f"INSERT INTO {quoted(target)} ({listed}) SELECT {given} FROM {quoted(new)} AS n"


def leave_out(it: RowWrite, how: Incremental) -> RowWrite:
    """Take what a merge does not write out of the new rows; return what is left of *it*.

    Raises WarehouseError if the table holds one of these keys twice: see merge_conditions.
    """
    if not conditions_of(how):
        return it
    new, keys = quoted(it.new), [quote(name) for _, name in it.keys]
    joined = f"{new} AS n LEFT JOIN {quoted(it.target)} AS t ON {it.same_key()}"
    if it.session.rows(f"SELECT count(*) FROM {joined}")[0][0] != it.count:
        refuse_keys_of_table(it.session, it.relation, [name for name, _ in it.keys])
    # DISTINCT makes a table of it: without that, MariaDB refuses to delete from what it reads.
    rows = (
        f"SELECT DISTINCT {', '.join(f'n.{key}' for key in keys)} FROM {joined}"
        f" WHERE {is_left_out(how, quote(it.keys[0][0]))}"
    )
    same = " AND ".join(f"{new}.{key} = left_out.{key}" for key in keys)
    left = it.session.change(f"DELETE {new} FROM {new} JOIN ({rows}) AS left_out ON {same}")
    return replace(it, count=it.count - left)


def append(it: RowWrite) -> Changes:
    return Changes("", None, it.insert(), 0, 0)


def delete_and_insert(it: RowWrite) -> Changes:
    """The new rows may have several of one key: they replace all old ones of it together."""
    # By its full name: it looks for an alias in the database that is selected.
    table = quoted(it.target)
    same = it.same_key(table)
    deleted = it.session.change(f"DELETE {table} FROM {table} JOIN {quoted(it.new)} AS n ON {same}")
    return Changes("", None, it.insert(), 0, deleted)


def merge(it: RowWrite) -> Changes:
    """Update the rows whose key is known and whose values differ, and insert the others. A key that
    is equal and spelled otherwise differs."""
    met = int(it.session.rows(f"SELECT count(*) FROM {it.joined}")[0][0])
    updated = 0
    if met and it.updated:
        written = ", ".join(f"t.{quote(its)} = n.{quote(new)}" for its, new in it.updated)
        which = " OR ".join(differs(it.types, *column) for column in it.updated)
        updated = it.session.change(f"UPDATE {it.joined} SET {written} WHERE {which}")
    known = f"SELECT 1 FROM {quoted(it.target)} AS t WHERE {it.same_key()}"
    inserted = it.insert(f" WHERE NOT EXISTS ({known})")
    if met + inserted != it.count:
        refuse_keys_of_table(it.session, it.relation, [its for its, _ in it.keys])
        what = f"{it.relation} was written by somebody else at the same moment"
        raise WarehouseError(ErrorKind.CONFLICT, what, transient=True)
    return Changes("", None, inserted, updated, 0)


STRATEGIES: Mapping[str, Callable[[RowWrite], Changes]] = {
    "append": append,
    "delete+insert": delete_and_insert,
    "merge": merge,
}
