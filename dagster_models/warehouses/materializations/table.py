"""Which module builds which materialization: the one that bears the name of its class."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import ModuleType

from dagster_models.core.materializations import (
    EVERY_KIND,
    AddedTo,
    Custom,
    Materialization,
    Reading,
)
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks

_MODULES: Mapping[type, ModuleType] = {
    kind: import_module(f"{__package__}.{kind.__name__.lower()}") for kind in EVERY_KIND
}


def build(session: Hooks, relation: Relation, how: Materialization, content: Content) -> Staged:
    """Build the relation in the open transaction."""
    staged: Staged = _MODULES[type(how)].build(session, relation, how, content)
    return staged


def read(session: Hooks, relation: Relation, how: AddedTo | Custom) -> Reading:
    """What a Python model must know to make the rows of its next build. In a transaction."""
    reading: Reading = _MODULES[type(how)].read(session, relation, how)
    return reading
