"""Dagster assets as a selection sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dagster import AssetsDefinition, AssetSpec, OpDefinition

from dagster_models.core.model import Key, Step
from dagster_models.definitions.other_assets import OtherAsset, specs_of
from dagster_models.execution.step_functions import step_behind
from dagster_models.project.selection import Node


def asset_nodes(assets: Iterable[OtherAsset]) -> list[Node]:
    """A node for each asset; its name is the key as Dagster writes it."""
    return [_node(spec, step) for spec, step in _each(assets)]


def names_of_steps(assets: Iterable[OtherAsset]) -> Mapping[Key, str]:
    """The name of the node that each step has."""
    return {step.key: spec.key.to_user_string() for spec, step in _each(assets) if step}


def _each(assets: Iterable[OtherAsset]) -> Iterator[tuple[AssetSpec, Step | None]]:
    for asset in assets:
        step = None
        if isinstance(asset, AssetsDefinition) and isinstance(asset.node_def, OpDefinition):
            found = step_behind(asset.node_def)
            step = found.step if found is not None else None
        for spec in specs_of([asset]):
            yield spec, step


def _node(spec: AssetSpec, step: Step | None) -> Node:
    words = {".".join(spec.key.path): None, spec.key.path[-1]: None}
    if step is not None:
        words |= {str(step.key): None, step.key.name: None}
    name = spec.key.to_user_string()
    return Node(
        name=name,
        words=(name, *words),
        upstream=tuple(dep.asset_key.to_user_string() for dep in spec.deps),
        path=step.location.path if step else "",
        folder=step.key.schema if step else "",
        group=spec.group_name or "",
        owners=tuple(spec.owners),
        kinds=frozenset({*spec.kinds, *((step.kind, step.built_as) if step else ())}),
        tags=dict(spec.tags),
    )
