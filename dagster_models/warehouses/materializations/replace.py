"""A table that is replaced as a whole."""

from __future__ import annotations

from dagster_models.core.materializations import Replace
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks


def build(session: Hooks, relation: Relation, how: Replace, content: Content) -> Staged:
    """Build it, and count its rows."""
    return Staged(relation, session.replace_table(relation, content))
