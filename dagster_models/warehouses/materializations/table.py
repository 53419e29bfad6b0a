"""Which module builds which materialization: the one that bears the name of its class."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType

from dagster_models.core.materializations import (
    AddedTo,
    Custom,
    Materialization,
    Reading,
)
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks


@cache
def _module(kind: str) -> ModuleType:
    """Imported at first use: most processes build only tables and views."""
    return import_module(f"{__package__}.{kind.lower()}")


def build(session: Hooks, relation: Relation, how: Materialization, content: Content) -> Staged:
    """Build the relation in the open transaction."""
    staged: Staged = _module(type(how).__name__).build(session, relation, how, content)
    return staged


def read(session: Hooks, relation: Relation, how: AddedTo | Custom) -> Reading:
    """What a Python model must know to make the rows of its next build. In a transaction."""
    reading: Reading = _module(type(how).__name__).read(session, relation, how)
    return reading
