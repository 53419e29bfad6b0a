"""Where each node of a dbt project is in a project of ours, and what our SQL calls it.

A model keeps its path below ``models/``, whose first folder is the schema of its key; packages
have a folder of their own. The schema and the table in the warehouse are those of the manifest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from pathlib import PurePosixPath

from dagster_models.core.model import Key
from dagster_models.dbt.project.manifest import STEPS, DbtNode, DbtSource, Manifest
from dagster_models.dbt.project.remarks import Remark, Weight
from dagster_models.util.plain_names import plain_name

_ROOTS = {"model": "models", "snapshot": "models/snapshots", "seed": "seeds"}


@dataclass(frozen=True, slots=True)
class StepPlace:
    """A step's key and its file in our project, e.g. ``models/marts/orders.sql``."""

    key: Key
    path: str


class UnknownRef(Exception):
    """A ref() or source() means nothing that the manifest has."""


class NodeNames:
    """Places, names and the lookup of refs. *templates*: the models that are templates. ``same``: a
    source -> the model, seed or snapshot whose relation it is. ``root_schema``: that of
    models outside of a folder."""

    def __init__(self, manifest: Manifest, templates: Collection[str] = ()) -> None:
        self._manifest, self._templates = manifest, templates
        steps = [it for it in manifest.nodes.values() if it.kind in STEPS]
        by_relation = {it.relation.written: it.unique_id for it in steps if it.relation.written}
        self.same: Mapping[str, str] = {
            name: by_relation[it.relation.written]
            for name, it in manifest.sources.items()
            if it.relation.written in by_relation
        }
        self.root_schema = _root_schema(manifest, steps)
        #: A source is also read by the name of its relation, so that no key of another is that.
        self._relations = Counter(map(_relation_of, self._apart()))
        self.places: Mapping[str, StepPlace] = dict(self._places(steps))
        named: dict[str, list[DbtNode]] = {}
        for it in steps:
            named.setdefault(it.name, []).append(it)
        self._named = named
        self._sources: dict[tuple[str, str], list[DbtSource]] = {}
        for source in manifest.sources.values():
            self._sources.setdefault((source.source_name, source.name), []).append(source)
        self._source_keys: Mapping[str, Key] = dict(self._keys_of_sources())
        keys = [it.key for it in self.places.values()]
        of_sources = ((self._source_keys[it.unique_id], _relation_of(it)) for it in self._apart())
        self._count = Counter(
            [*(_folded(key).name for key in keys)]
            + [name for pair in of_sources for name in {_folded(it).name for it in pair}]
        )

    def key_of(self, unique_id: str) -> Key:
        """The key of a step or source in our project."""
        unique_id = self.same.get(unique_id, unique_id)
        if unique_id in self.places:
            return self.places[unique_id].key
        return self._source_keys[unique_id]

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
        taken = set(self._relations)  # in lower case, as two that differ by that alone do not load
        own = self._manifest.project_name
        for it in sorted(steps, key=lambda it: (it.package != own, is_renamed(it), it.unique_id)):
            package = () if it.package == own else (it.package,)
            folders = tuple(map(_folder, (*package, *_folders(it))))
            apart = (_folder(f"{it.package}_{it.kind}"), *folders)
            choices = chain([(folders, "")], ((apart, f"_{at}" if at else "") for at in count()))
            for place in (self._place(it, *choice) for choice in choices):
                if _folded(place.key) not in taken:
                    break
            taken.add(_folded(place.key))
            yield it.unique_id, place

    def _apart(self) -> Iterator[DbtSource]:
        """The sources that are no step's relation."""
        return (it for name, it in self._manifest.sources.items() if name not in self.same)

    def _keys_of_sources(self) -> Iterator[tuple[str, Key]]:
        taken = {_folded(it.key) for it in self.places.values()}
        for it in self._apart():
            schema, name = plain_name(it.source_name), plain_name(it.name)
            choices = chain([schema], (f"{schema}_{at}" for at in count(2)))
            keys = (Key(choice, name) for choice in choices)
            key = next(key for key in keys if not self._means_another(it, key, taken))
            taken.add(_folded(key))
            yield it.unique_id, key

    def _means_another(self, it: DbtSource, key: Key, taken: set[Key]) -> bool:
        """Whether a step or another source already has this name, as its key or its relation's."""
        folded = _folded(key)
        return folded in taken or self._relations[folded] > (folded == _relation_of(it))

    def _place(self, it: DbtNode, folders: tuple[str, ...], number: str) -> StepPlace:
        name, root = f"{file_name(it)}{number}", _ROOTS[it.kind]
        if it.unique_id in self._templates:
            root = root.replace("models", "models_jinja", 1)
        suffix = "csv" if it.kind == "seed" else "py" if it.language == "python" else "sql"
        path = PurePosixPath(root, *folders, f"{name}.{suffix}")
        first = path.parts[1] if len(path.parts) > 2 else ""
        schema = first or (self.root_schema if it.kind == "model" else root)
        return StepPlace(Key(schema, name), str(path))


def file_name(node: DbtNode) -> str:
    """The name of its file, without a suffix: with its version, as several may be in use."""
    return plain_name(_named(node))


def is_renamed(node: DbtNode) -> bool:
    """Whether its name cannot be one here."""
    return file_name(node) != _named(node)


def renamed(manifest: Manifest, names: NodeNames) -> Iterator[Remark]:
    """A remark on each step and source that has another name here. Its table keeps dbt's."""
    steps = {key: (_named(manifest.nodes[key]), it.key.name) for key, it in names.places.items()}
    sources = {
        key: (f"{it.source_name}.{it.name}", str(names.key_of(key)))
        for key, it in manifest.sources.items()
        if key not in names.same and not it.relation.is_file
    }
    for unique_id, (name, ours) in (steps | sources).items():
        if name != ours:
            odd = any(plain_name(it) != it for it in name.split("."))
            why = "a name has no more than letters, digits and _"
            why = why if odd else "something else has the name that dbt has for it"
            what = f"it is `{ours}` here, as {why}"
            yield Remark(unique_id, what, Weight.NOTE)


def _named(node: DbtNode) -> str:
    return node.name if node.version is None else f"{node.name}_v{node.version}"


def _folders(it: DbtNode) -> tuple[str, ...]:
    if it.kind == "snapshot":  # several may be in one file, and its folder says nothing
        return ()
    return PurePosixPath(str(it.given.get("path") or it.path)).parts[:-1]


def _folder(name: str) -> str:
    """The name of a folder, but for that of Python's caches, which is not read."""
    return "pycache" if name == "__pycache__" else plain_name(name)


def _folded(key: Key) -> Key:
    return Key(key.schema.lower(), key.name.lower())


def _relation_of(source: DbtSource) -> Key:
    return Key(*source.relation.folded)


def _root_schema(manifest: Manifest, steps: Iterable[DbtNode]) -> str:
    """The schema of most of the models that are in no folder."""
    schemas = Counter(
        it.relation.schema
        for it in steps
        if it.kind == "model" and it.package == manifest.project_name and not _folders(it)
    )
    return schemas.most_common(1)[0][0] if schemas else "main"
