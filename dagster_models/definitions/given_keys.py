"""The asset keys that a translator gives. What refers to an asset by the key that it would have
without a translator (deps and column lineage) follows.

A translator sees one item at a time, so it cannot know the keys of the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from dagster import (
    AssetDep,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    Definitions,
    TableColumnDep,
    TableColumnLineage,
)

from dagster_models.core.model import Key, Project, Source, Step
from dagster_models.definitions.column_metadata import Moved, asset_key
from dagster_models.definitions.other_assets import step_of
from dagster_models.errors import Problem
from dagster_models.project.problems import problem

_LINEAGE = "dagster/column_lineage"


def moved_keys(project: Project, specs: Iterable[tuple[Step | Source, AssetSpec]]) -> Moved:
    keys = ((asset_key(project, item.key), spec.key) for item, spec in specs)
    return {own: given for own, given in keys if own != given}


def given_in(definitions: Definitions, root: str) -> dict[Key, Sequence[str]]:
    """The asset keys, as paths, of the steps of the project in the folder *root*."""
    keys: dict[Key, Sequence[str]] = {}
    for asset in definitions.assets or ():
        if not isinstance(asset, AssetsDefinition):
            continue
        found = step_of(asset)
        if found is not None and os.path.realpath(found.project.root) == os.path.realpath(root):
            keys[found.step.key] = asset.key.path
    return keys


def same_keys(specs: Sequence[tuple[Step | Source, AssetSpec]]) -> list[Problem]:
    """A problem for each asset whose key another one has already."""
    first: dict[AssetKey, Step | Source] = {}
    problems = []
    for item, spec in specs:
        other = first.setdefault(spec.key, item)
        if other is not item:
            key = spec.key.to_user_string()
            what = f"the translator gives {other.key} and {item.key} the same asset key {key}"
            fix = "Keep the keys apart in get_asset_spec, e.g. by the schema."
            problems.append(problem(what, item.location, fix))
    return problems


def following(spec: AssetSpec, item: Step, project: Project, moved: Moved) -> AssetSpec:
    """*spec* with the given keys of what the step reads. What the translator itself has written
    instead of them stays."""
    own = {asset_key(project, key) for key in item.upstream}
    mine = {key: given for key, given in moved.items() if key in own}
    if not mine:
        return spec
    deps = [_with_key(dep, mine) for dep in spec.deps]
    metadata = dict(spec.metadata)
    lineage = metadata.get(_LINEAGE)
    if isinstance(lineage, TableColumnLineage):
        metadata[_LINEAGE] = moved_lineage(lineage, mine)
    unique = list({dep.asset_key: dep for dep in deps}.values())
    return spec.replace_attributes(deps=unique, metadata=metadata)


def moved_lineage(lineage: TableColumnLineage, moved: Moved) -> TableColumnLineage:
    def given(dep: TableColumnDep) -> TableColumnDep:
        return TableColumnDep(moved.get(dep.asset_key, dep.asset_key), dep.column_name)

    columns = lineage.deps_by_column.items()
    return TableColumnLineage({name: [given(dep) for dep in deps] for name, deps in columns})


def _with_key(dep: AssetDep, moved: Moved) -> AssetDep:
    key = moved.get(dep.asset_key)
    if key is None:
        return dep
    return AssetDep(key, partition_mapping=dep.partition_mapping, metadata=dep.metadata)
