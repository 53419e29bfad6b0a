"""New rows beside the table that they go into: columns by name, and no value is converted that
would become another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental, Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote, quoted
from dagster_models.warehouses.mariadb.types import altered, fits
from dagster_models.warehouses.materializations.columns import (
    Columns,
    Retyped,
    refuse_changed,
    type_changed,
)

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.reading import MariaReading


@dataclass(frozen=True, slots=True)
class TableFit:
    """How new rows and their table fit.

    ``columns``: of each column that is written, its name in the table, and in the new rows.
    ``kept``: those that the table has and keeps. ``alterations`` are the clauses of ALTER TABLE
    that the table needs before. ``covers``: the new rows have all columns that it has then.
    """

    columns: tuple[tuple[str, str], ...]
    kept: tuple[str, ...]
    alterations: tuple[str, ...]
    covers: bool


def fit(
    session: MariaReading,
    relation: Relation,
    how: Incremental | Snapshot,
    there: Columns,
    new: Relation,
    *,
    of_python: bool,
) -> TableFit:
    """*there*: the columns of the table; *new* has the new rows.

    Raises WarehouseError where ``on_schema_change`` does not allow for it, or values would change.
    """
    old = {name.lower(): (name, type_) for name, type_ in there}
    given = {name.lower(): (name, type_) for name, type_ in session.columns_of(quoted(new))}
    added = [column for key, column in given.items() if key not in old]
    gone = [name for key, (name, _) in old.items() if key not in given]
    changes = [
        Retyped(given[key][0], type_, given[key][1])
        for key, (_, type_) in old.items()
        if key in given and not fits(given[key][1], type_)
    ]
    retyped = [
        it for it in changes if not (of_python and _can_be(session, new, it.name, it.new, it.old))
    ]
    refuse_changed(relation, how, added, gone, retyped)
    if how.on_schema_change == "ignore":
        added = []
    syncs = how.on_schema_change == "sync_all_columns"
    alterations = [f"ADD COLUMN {quote(name)} {type_} NULL" for name, type_ in added]
    if syncs:
        alterations += [f"DROP COLUMN {quote(name)}" for name in gone]
    for it in retyped:
        name = old[it.name.lower()][0]
        if not _can_be(session, relation, name, it.old, it.new):
            raise type_changed(it.name, it)
        alterations.append(f"MODIFY COLUMN {quote(name)} {it.new} NULL")
    written = [(name, given[key][0]) for key, (name, _) in old.items() if key in given]
    return TableFit(
        (*written, *((name, name) for name, _ in added)),
        tuple(name for key, (name, _) in old.items() if key in given or not syncs),
        tuple(alterations),
        covers=syncs or not gone,
    )


def _can_be(session: MariaReading, source: Relation, name: str, old: str, wanted: str) -> bool:
    """Whether all values of a column are values of that type, too."""
    condition = altered(quote(name), old, wanted)
    try:
        return not session.rows(f"SELECT 1 FROM {quoted(source)} WHERE {condition} LIMIT 1")
    except WarehouseError as error:
        if error.kind is not ErrorKind.BAD_VALUE:
            raise
        return False
