"""Where each node of a dbt project is in a project of ours, and what our SQL calls it.

A model keeps its path below ``models/``, whose first folder is the schema of its key; packages
have a folder of their own. The schema and the table in the warehouse are those of the manifest.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from dagster_models.core.model import Key
from dagster_models.dbt.project.manifest import DbtNode, DbtSource, Manifest

#: What has a relation that SQL reads.
STEPS = ("model", "seed", "snapshot")
_ROOTS = {"model": "models", "snapshot": "models/snapshots", "seed": "seeds"}


@dataclass(frozen=True, slots=True)
class StepPlace:
    """A step's key and its file in our project, e.g. ``models/marts/orders.sql``."""

    key: Key
    path: str


class UnknownRef(Exception):
    """A ref() or source() means nothing that the manifest has."""


class NodeNames:
    """Places, names and the lookup of refs. ``same``: a source -> the model, seed or snapshot whose
    relation it is. ``root_schema``: that of models outside of a folder."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        steps = [it for it in manifest.nodes.values() if it.kind in STEPS]
        by_relation = {it.relation.written: it.unique_id for it in steps if it.relation.written}
        self.same: Mapping[str, str] = {
            name: by_relation[it.relation.written]
            for name, it in manifest.sources.items()
            if it.relation.written in by_relation
        }
        self.root_schema = _root_schema(manifest, steps)
        self.places: Mapping[str, StepPlace] = dict(self._places(steps))
        named: dict[str, list[DbtNode]] = {}
        for it in steps:
            named.setdefault(it.name, []).append(it)
        self._named = named
        self._sources: dict[tuple[str, str], list[DbtSource]] = {}
        for source in manifest.sources.values():
            self._sources.setdefault((source.source_name, source.name), []).append(source)
        own = (it for name, it in manifest.sources.items() if name not in self.same)
        keys = [*(it.key for it in self.places.values()), *(_source_key(it) for it in own)]
        self._count = Counter(key.name.lower() for key in keys)

    def key_of(self, unique_id: str) -> Key:
        """The key of a step or source in our project."""
        unique_id = self.same.get(unique_id, unique_id)
        if unique_id in self.places:
            return self.places[unique_id].key
        return _source_key(self._manifest.sources[unique_id])

    def is_unique(self, unique_id: str) -> bool:
        """Whether its bare name means it alone. A source is always named with its schema."""
        unique_id = self.same.get(unique_id, unique_id)
        return unique_id in self.places and self._count[self.key_of(unique_id).name.lower()] == 1

    def ref(self, node: DbtNode, name: str, package: str | None, version: str | None) -> DbtNode:
        """The step that a ``ref()`` of *node* means. Raises UnknownRef."""
        found = [it for it in self._named.get(name, ()) if package in (None, it.package)]
        if version is not None:
            found = [it for it in found if it.version == version]
        elif any(it.version is not None for it in found):
            found = [it for it in found if it.version in (None, it.latest_version)]
        if not found:
            raise UnknownRef(f"ref({name!r}) is no model, seed or snapshot of the manifest")
        return min(found, key=self._distance(node))

    def source(self, node: DbtNode, source_name: str, name: str) -> DbtSource:
        """The source that a ``source()`` of *node* means. Raises UnknownRef."""
        found = self._sources.get((source_name, name))
        if not found:
            raise UnknownRef(f"source({source_name!r}, {name!r}) is not in the manifest")
        return min(found, key=self._distance(node))

    def _distance(self, node: DbtNode) -> Callable[[DbtNode | DbtSource], tuple[bool, int]]:
        """Nearest is what *node* depends on, then what is of its package, then of the project."""
        order = [node.package, self._manifest.project_name]

        def distance(it: DbtNode | DbtSource) -> tuple[bool, int]:
            package = order.index(it.package) if it.package in order else len(order)
            return it.unique_id not in node.depends_on, package

        return distance

    def _places(self, steps: Iterable[DbtNode]) -> Iterator[tuple[str, StepPlace]]:
        taken: set[Key] = set()
        own = self._manifest.project_name
        for it in sorted(steps, key=lambda it: (it.package != own, it.unique_id)):
            package = () if it.package == own else (it.package,)
            folders = tuple(map(_identifier, (*package, *_folders(it))))
            place = self._place(it, folders)
            if place.key in taken:
                place = self._place(it, (_identifier(f"{it.package}_{it.kind}"), *folders))
            taken.add(place.key)
            yield it.unique_id, place

    def _place(self, it: DbtNode, folders: tuple[str, ...]) -> StepPlace:
        name, root = file_name(it), _ROOTS[it.kind]
        path = PurePosixPath(root, *folders, f"{name}.{'csv' if it.kind == 'seed' else 'sql'}")
        first = path.parts[1] if len(path.parts) > 2 else ""
        schema = first or (self.root_schema if it.kind == "model" else root)
        return StepPlace(Key(schema, name), str(path))


def file_name(node: DbtNode) -> str:
    """The name of its file, without a suffix: with its version, as several may be in use."""
    return _identifier(node.name if node.version is None else f"{node.name}_v{node.version}")


def _folders(it: DbtNode) -> tuple[str, ...]:
    if it.kind == "snapshot":  # several may be in one file, and its folder says nothing
        return ()
    return PurePosixPath(str(it.given.get("path") or it.path)).parts[:-1]


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _source_key(source: DbtSource) -> Key:
    return Key(source.source_name, source.name)


def _root_schema(manifest: Manifest, steps: Iterable[DbtNode]) -> str:
    """The schema of most of the models that are in no folder."""
    schemas = Counter(
        it.relation.schema
        for it in steps
        if it.kind == "model" and it.package == manifest.project_name and not _folders(it)
    )
    return schemas.most_common(1)[0][0] if schemas else "main"
