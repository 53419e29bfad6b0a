"""What the query of a snapshot has returned, and that versions can be made of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dagster_models.core.materializations import Snapshot
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote
from dagster_models.warehouses.materializations.columns import columns_named
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.keys import (
    refuse_duplicate_keys,
    refuse_null_keys,
    refuse_rows,
)
from dagster_models.warehouses.materializations.snapshot_columns import FAR, hash_of

_WITH_ZONE = re.compile(r"timestamp.* with time zone", re.IGNORECASE)
_TIME = re.compile(r"(timestamp|date\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Returned:
    """The columns of the query; ``now`` is SQL."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    now: str
    updated_at: str = ""  #: "" where the strategy is check
    with_zone: bool = False

    def born(self, row: str = "") -> str:
        """The moment, in UTC, at which a row that is new begins. One without a zone is taken as it
        stands."""
        if not self.updated_at:
            return self.now
        column = f"{row}{quote(self.updated_at)}"
        zone = " AT TIME ZONE 'UTC'" if self.with_zone else ""
        return f"CAST({column}{zone} AS TIMESTAMP)"

    def version_id(self, row: str, moment: str) -> str:
        """What dbt's `snapshot_hash_arguments` makes of a version that begins at that moment."""
        text = f"CAST({moment} AS VARCHAR)"
        if self.updated_at:  # dbt takes its text as it is, with a zone or as a date
            given = f"CAST({row}{quote(self.updated_at)} AS VARCHAR)"
            text = f"CASE WHEN {moment} = {self.born(row)} THEN {given} ELSE {text} END"
        return hash_of([*(f"{row}{quote(key)}" for key in self.keys), text])


def checked(session: Hooks, relation: Relation, how: Snapshot, now: str) -> Returned:
    """What was returned, in *relation*. Raises WarehouseError if no versions can be made of it."""
    columns = session.columns(relation)
    names = [name for name, _ in columns]
    keys = columns_named(columns, how.unique_key, of="unique_key: the query")
    own = {session.folded(name) for name in how.own_columns}
    for name in names:
        if session.folded(name) in own:
            raise WarehouseError(
                ErrorKind.BAD_COLUMN,
                f"the query returns a column `{name}`, and this is the name of a column that the"
                " snapshot adds. Nothing was changed: rename it in the query, or the snapshot's"
                f" with `snapshot_meta_column_names: {{{_role(how, name)}: ...}}`",
                name="OwnColumn",
            )
    refuse_null_keys(session, relation, keys, names)
    why = "A snapshot could keep any of these rows"
    refuse_duplicate_keys(session, relation, keys, why, "")
    if not how.updated_at:
        return Returned(tuple(names), tuple(keys), now)
    (updated_at,) = columns_named(columns, [how.updated_at], of="updated_at: the query")
    with_zone = _has_zone(updated_at, dict(columns)[updated_at])
    query = Returned(tuple(names), tuple(keys), now, updated_at, with_zone)
    known = f"isfinite({query.born()}) AND {query.born()} < {FAR}"
    what = f"NULL in updated_at ({updated_at}), or no moment before the year 2200"
    shown = (*keys, updated_at, *names)
    refuse_rows(session, relation, f"NOT coalesce({known}, false)", shown, what, "NoMoment")
    return query


def _role(how: Snapshot, name: str) -> str:
    named = how.meta_columns.items()
    return next(role for role, own in named if own.lower() == name.lower())


def _has_zone(updated_at: str, type_: str) -> bool:
    if _TIME.match(type_):
        return _WITH_ZONE.match(type_) is not None
    raise WarehouseError(
        ErrorKind.BAD_COLUMN,
        f"updated_at: `{updated_at}` is of the type {type_}, which is no moment. Nothing was"
        " changed: cast it to a timestamp in the query, or use `strategy: check`",
        name="NoMoment",
    )
