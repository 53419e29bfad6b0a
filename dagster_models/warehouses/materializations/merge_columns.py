"""Which columns a merge leaves as they are in the rows whose key is there."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.materializations import Incremental
from dagster_models.core.model import Relation
from dagster_models.warehouses.base import quote
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import Asking, Hooks
from dagster_models.warehouses.materializations.write import Write


def kept_columns(
    session: Hooks, how: Incremental, columns: Sequence[str], keys: Sequence[str]
) -> list[str]:
    """Which of the *columns* a merge does not write into rows that are there.

    Raises WarehouseError if a column is named that the new rows, which are staged, do not have.
    """
    written, excluded = named_columns(session, session.staging, how)
    rest = [name for name in columns if name not in keys]
    return [name for name in rest if name in excluded or (written and name not in written)]


def named_columns(
    session: Asking, relation: Relation, how: Incremental
) -> tuple[list[str], list[str]]:
    """``merge_update_columns`` and ``merge_exclude_columns`` as *relation* spells them.

    Raises WarehouseError if a column is named that it does not have. The first build asks this,
    too, which merges nothing: else the mistake would show in the next night.
    """
    updated, excluded = how.merge_update_columns, how.merge_exclude_columns
    if how.strategy != "merge" or not (updated or excluded):
        return [], []
    given = session.columns(relation)
    return (
        columns_named(given, updated, "merge_update_columns: the query"),
        columns_named(given, excluded, "merge_exclude_columns: the query"),
    )


def keep(session: Hooks, it: Write, columns: Sequence[str]) -> None:
    """Put the table's values of these columns into the staged rows whose key is there: then a merge
    of whole rows leaves them as they are."""
    given = ", ".join(f"{name} = t.{name}" for name in map(quote, columns))
    session.change(f"UPDATE {it.new} AS n SET {given} FROM {it.table} AS t WHERE {it.meets}")
