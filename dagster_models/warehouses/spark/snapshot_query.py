"""What the query of a snapshot has returned on Spark, and that versions can be made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.backquotes import quote
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.keys import (
    refuse_duplicate_keys,
    refuse_null_keys,
    refuse_rows,
)
from dagster_models.warehouses.materializations.snapshot_columns import hash_of

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession

FAR = "TIMESTAMP_NTZ '2200-01-01 00:00:00'"


@dataclass(frozen=True, slots=True)
class RowsGiven:
    """The columns of the query; ``now`` is SQL, ``born`` the moment at which the row n begins."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    now: str
    born: str
    updated_at: str = ""  #: "" where the strategy is check

    def version_id(self, moment: str) -> str:
        """What dbt's `snapshot_hash_arguments` makes of a version of the row n that begins then."""
        text = f"CAST({moment} AS STRING)"
        if self.updated_at:  # dbt takes its text as it is
            given = f"CAST(n.{quote(self.updated_at)} AS STRING)"
            text = f"CASE WHEN {moment} = {self.born} THEN {given} ELSE {text} END"
        return hash_of([*(f"n.{quote(key)}" for key in self.keys), text], "STRING")


def checked(session: SparkSession, new: Relation, how: Snapshot, now: str) -> RowsGiven:
    columns = session.columns(new)
    names = [name for name, _ in columns]
    keys = columns_named(columns, how.unique_key, of="unique_key: the query")
    own = {name.lower() for name in how.own_columns}
    for name in names:
        if name.lower() in own:
            raise WarehouseError(
                ErrorKind.BAD_COLUMN,
                f"the query returns a column `{name}`, and this is the name of a column that the"
                " snapshot adds. Nothing was changed: rename it in the query, or the snapshot's"
                " with `snapshot_meta_column_names`",
                name="OwnColumn",
            )
    refuse_null_keys(session, new, keys, names)
    refuse_duplicate_keys(session, new, keys, "A snapshot could keep any of these rows", "")
    if not how.updated_at:
        return RowsGiven(tuple(names), tuple(keys), now, now)
    (updated_at,) = columns_named(columns, [how.updated_at], of="updated_at: the query")
    type_ = dict(columns)[updated_at]
    if not type_.startswith(("timestamp", "date")):
        raise WarehouseError(
            ErrorKind.BAD_COLUMN,
            f"updated_at: `{updated_at}` is of the type {type_}, which is no moment. Nothing was"
            " changed: cast it to a timestamp in the query, or use `strategy: check`",
            name="NoMoment",
        )
    # The session's time zone is UTC.
    known = f"CAST({quote(updated_at)} AS TIMESTAMP_NTZ) < {FAR}"
    what = f"NULL in updated_at ({updated_at}), or no moment before the year 2200"
    shown = (*keys, updated_at, *names)
    refuse_rows(session, new, f"NOT coalesce({known}, false)", shown, what, "NoMoment")
    born = f"CAST(n.{quote(updated_at)} AS TIMESTAMP_NTZ)"
    return RowsGiven(tuple(names), tuple(keys), now, born, updated_at)
