"""A kind of the project's own: its code has built the relation in the open transaction."""

from __future__ import annotations

from dagster_models.core.materializations import Custom, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks


def read(session: Hooks, relation: Relation, how: Custom) -> Reading:
    """What is there, before its code builds the relation."""
    return Reading(how.full_refresh, seen=session.take_turn(relation) or "")


def build(session: Hooks, relation: Relation, how: Custom, content: Content) -> Staged:
    """Look at what it has built. Raises WarehouseError if there is nothing."""
    there = session.take_turn(relation)
    if there is None:
        raise WarehouseError(
            ErrorKind.MISSING_RELATION,
            f"{how.kind}.build has made no table or view {relation}",
            name="NothingBuilt",
        )
    return Staged(relation, session.row_count(relation) if there == "table" else None)
