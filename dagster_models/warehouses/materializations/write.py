"""Putting staged rows into their table."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote, quoted


def insert(table: Relation, staged: Relation, columns: Sequence[str]) -> str:
    """The statement that adds all staged rows; columns are matched by name."""
    names = [quote(column) for column in columns]
    listed, given = ", ".join(names), ", ".join(f"n.{name}" for name in names)
    return f"INSERT INTO {quoted(table)} ({listed}) SELECT {given} FROM {quoted(staged)} AS n"


def refuse_lost_rows(relation: Relation, inserted: int | None, staged: int) -> None:
    """Raise WarehouseError if not all of the rows are in the table."""
    if inserted != staged:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"{relation} took {inserted} of {staged} rows, as a trigger or rule on it"
            " left some out. Nothing was changed: change or drop that first, by hand",
            name="RowsDiffer",
        )
