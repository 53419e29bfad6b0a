"""Which module builds which materialization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dagster_models.core.materializations import Materialization, Replace, View
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.materializations import replace, view
from dagster_models.warehouses.materializations.hooks import Hooks

_BUILDERS: Mapping[type, Callable[[Hooks, Relation, Any, Content], int | None]] = {
    Replace: replace.build,
    View: view.build,
}


def build(session: Hooks, relation: Relation, how: Materialization, content: Content) -> int | None:
    """Build the relation in the open transaction; its rows, None where nobody counts them."""
    return _BUILDERS[type(how)](session, relation, how, content)
