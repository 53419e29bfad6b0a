"""A view."""

from __future__ import annotations

from dagster_models.core.materializations import View
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks


def build(session: Hooks, relation: Relation, how: View, content: Content) -> Staged:
    """Build it; nobody counts its rows. Raises WarehouseError for anything but a query."""
    if not isinstance(content, Query):
        raise WarehouseError(ErrorKind.INVALID_REQUEST, f"the view {relation} needs a query")
    session.replace_view(relation, content.sql)
    return Staged(relation, None)
