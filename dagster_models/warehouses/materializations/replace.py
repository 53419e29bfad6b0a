"""A table that is replaced as a whole."""

from __future__ import annotations

from dagster_models.core.materializations import Replace
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.materializations.hooks import Hooks


def build(session: Hooks, relation: Relation, how: Replace, content: Content) -> int:
    """Build it; the number of its rows."""
    return session.replace_table(relation, content)
