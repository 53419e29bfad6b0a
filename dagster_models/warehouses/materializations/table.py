"""Which module builds which materialization: the one that bears the name of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from dagster_models.core.materializations import KINDS, Materialization
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Hooks

Build: TypeAlias = Callable[[Hooks, Relation, Any, Content], Staged]

_BUILDERS: Mapping[type, Build] = {
    kind: import_module(f"{__package__}.{kind.__name__.lower()}").build for kind in KINDS.values()
}


def build(session: Hooks, relation: Relation, how: Materialization, content: Content) -> Staged:
    """Build the relation in the open transaction."""
    return _BUILDERS[type(how)](session, relation, how, content)
