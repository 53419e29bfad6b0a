"""Which columns a merge leaves as they are in the rows whose key is there."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.materializations import Incremental
from dagster_models.warehouses.base import quote
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.write import Write


def kept_columns(
    session: Hooks, how: Incremental, columns: Sequence[str], keys: Sequence[str]
) -> list[str]:
    """Which of the *columns* a merge does not write into rows that are there.

    Raises WarehouseError if a column is named that the new rows, which are staged, do not have.
    """
    if how.strategy != "merge" or not (how.merge_update_columns or how.merge_exclude_columns):
        return []
    given = session.columns(session.staging)
    excluded = columns_named(given, how.merge_exclude_columns, "merge_exclude_columns: the query")
    written = columns_named(given, how.merge_update_columns, "merge_update_columns: the query")
    rest = [name for name in columns if name not in keys]
    return [name for name in rest if name in excluded or (written and name not in written)]


def keep(session: Hooks, it: Write, columns: Sequence[str]) -> None:
    """Put the table's values of these columns into the staged rows whose key is there: then a merge
    of whole rows leaves them as they are."""
    given = ", ".join(f"{name} = t.{name}" for name in map(quote, columns))
    session.change(f"UPDATE {it.new} AS n SET {given} FROM {it.table} AS t WHERE {it.same_key}")
