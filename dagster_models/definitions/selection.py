"""Dagster assets as a selection sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dagster import AssetSpec

from dagster_models.compilation.tasks import TargetStep
from dagster_models.definitions.other_assets import OtherAsset, specs_of, step_of
from dagster_models.project.selection import Node


def asset_nodes(assets: Iterable[OtherAsset]) -> list[Node]:
    """A node for each asset; its name is the key as Dagster writes it."""
    return [_node(spec, found) for spec, found in asset_steps(assets)]


def asset_steps(assets: Iterable[OtherAsset]) -> Iterator[tuple[AssetSpec, TargetStep | None]]:
    """Each asset, and the step of ours that it is."""
    for asset in assets:
        found = step_of(asset)
        for spec in specs_of([asset]):
            yield spec, found


def _node(spec: AssetSpec, found: TargetStep | None) -> Node:
    step = found.step if found is not None else None
    words = {".".join(spec.key.path): None, spec.key.path[-1]: None}
    if step is not None:
        words |= {str(step.key): None, step.key.name: None}
    name = spec.key.to_user_string()
    return Node(
        name=name,
        words=(name, *words),
        upstream=tuple(dep.asset_key.to_user_string() for dep in spec.deps),
        path=step.location.path if step else "",
        folder=step.key.schema if step else "/".join(spec.key.path[-2:-1]),
        group=spec.group_name or "",
        owners=tuple(spec.owners),
        kinds=frozenset({*spec.kinds, *((step.kind, step.built_as) if step else ())}),
        tags=dict(spec.tags),
        is_source=step is None,
    )
