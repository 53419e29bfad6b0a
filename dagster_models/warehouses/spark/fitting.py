"""New rows beside the table that they go into: columns by name, and no value is converted that
would become another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental, Snapshot
from dagster_models.core.model import Relation
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.materializations.columns import (
    Columns,
    Retyped,
    refuse_changed,
    type_changed,
)

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.statements import SparkStatements


@dataclass(frozen=True, slots=True)
class Fitted:
    """How a table and new rows fit.

    ``columns``: (name, type) of each column of the table afterwards. ``values``: of the new rows
    the value of each of these that they have, as SQL of the row n. ``added``: names of columns
    that the table does not have yet. ``kept``: of the table's old rows, t, each value as SQL;
    ``rewrites``: they must be written anew.
    """

    columns: tuple[tuple[str, str], ...]
    values: dict[str, str]
    added: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    rewrites: bool = False

    def rows(self, source: str) -> str:
        """A query of the new rows, in the columns of the table."""
        listed = ", ".join(f"{value} AS {quote(name)}" for name, value in self.values.items())
        return f"SELECT {listed} FROM {source} AS n"


def fit(
    session: SparkStatements,
    relation: Relation,
    how: Incremental | Snapshot,
    there: Columns,
    new: Relation,
    *,
    of_python: bool,
) -> Fitted:
    """*there*: the columns of the table that a query returns; *new* has the new rows.

    Raises WarehouseError where ``on_schema_change`` does not allow for it, or values would change.
    """
    old = {name.lower(): (name, type_) for name, type_ in there}
    given = {name.lower(): (name, type_) for name, type_ in session.columns(new)}
    added = [column for key, column in given.items() if key not in old]
    gone = [name for key, (name, _) in old.items() if key not in given]
    declared = {name.lower() for name, _ in how.columns}
    retyped, cast = [], set()
    for key, (name, type_) in given.items():
        if key not in old or old[key][1] == type_:
            continue
        change = Retyped(name, old[key][1], type_)
        if (of_python or key in declared) and _can_be(session, new, name, type_, change.old):
            cast.add(key)
        else:
            retyped.append(change)
    refuse_changed(relation, how, added, gone, retyped)
    syncs = how.on_schema_change == "sync_all_columns"
    columns, values = [], {}
    for key, (name, type_) in old.items():
        if key in given:
            value = f"n.{quote(given[key][0])}"
            values[name] = f"CAST({value} AS {type_})" if key in cast else value
        if key in given or not syncs:
            columns.append((name, given[key][1] if syncs and key not in cast else type_))
    if how.on_schema_change == "ignore":
        added = []
    columns += added
    values |= {name: f"n.{quote(name)}" for name, _ in added}
    for change in retyped:
        name = old[change.name.lower()][0]
        if not _can_be(session, relation, name, change.old, change.new):
            raise type_changed(name, change)
    kept = tuple(
        f"CAST({f't.{quote(name)}' if name.lower() in old else 'NULL'} AS {type_}) AS {quote(name)}"
        for name, type_ in columns
    )
    names = tuple(name for name, _ in added)
    rewrites = syncs and bool(gone or retyped)
    return Fitted(tuple(columns), values, names, kept, rewrites)


def same_key(keys: Sequence[str], one: str = "t", other: str = "n") -> str:
    """The condition that two rows, by default t of the table and a new one, have the same key."""
    return " AND ".join(f"{one}.{quote(key)} = {other}.{quote(key)}" for key in keys)


def _can_be(session: SparkStatements, new: Relation, name: str, old: str, wanted: str) -> bool:
    """Whether all values of a column are values of that type, too."""
    rows = session.rows(f"SELECT 1 FROM {quoted(new)} WHERE {_altered(name, old, wanted)} LIMIT 1")
    return not rows


def _altered(name: str, old: str, wanted: str) -> str:
    """The condition that a value would be another one in that type."""
    column = quote(name)
    return (
        f"{column} IS NOT NULL AND NOT"
        f" coalesce(TRY_CAST(TRY_CAST({column} AS {wanted}) AS {old}) = {column}, false)"
    )
