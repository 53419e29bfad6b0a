"""What `ref` and `source` mean in a template: a model, seed or source of the project itself.

A relation's unique_id is its key as a text. Within SQL it becomes the key too, as a bare name might
mean a source as well (`ref('orders')` beside `source('raw', 'orders')`). Where Jinja takes it apart
(`ref('x').schema`), and within literals, it is the key: one load is for all targets, so no template
knows where a target keeps its relations.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from dagster_models.core.model import Key
from dagster_models.dbt.project.manifest import DbtNode, DbtRelation
from dagster_models.dbt.templates.errors import Refused
from dagster_models.dbt.text.placeholders import Placeholders
from dagster_models.util.nearest import suggest
from dagster_models.util.plain_names import plain_name


@dataclass(frozen=True, slots=True)
class NamedRelation:
    unique_id: str


@dataclass
class ProjectNames:
    """``keys``: of the models and seeds that there are."""

    keys: Sequence[Key]
    _named: dict[str, list[Key]] = field(default_factory=dict)
    _known: dict[str, Key] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in self.keys:
            self._named.setdefault(key.name.lower(), []).append(key)
            self._known[str(key)] = key

    def key_of(self, unique_id: str) -> Key:
        return self._known[unique_id]

    def is_unique(self, unique_id: str) -> bool:
        return False

    def ref(
        self, node: DbtNode, name: str, package: str | None, version: str | None
    ) -> NamedRelation:
        found = self.find(name, package, version)
        if len(found) == 1:
            return NamedRelation(str(found[0]))
        if found:
            every = " or ".join(map(str, found))
            fix = f"Write the schema too: `ref('{found[0].schema}', '{name}')`."
            raise Refused(f"ref({name!r}) may be {every}", fix)
        fix = suggest(name, {key.name for key in self.keys}, "Models")
        raise Refused(f"ref({name!r}) is no model or seed of the project", fix)

    def find(self, name: str, package: str | None, version: str | None) -> list[Key]:
        """The models and seeds that a `ref` may mean. ``package`` may also be a schema."""
        wanted = plain_name(name if version is None else f"{name}_v{version}").lower()
        found = self._named.get(wanted, [])
        if not found and version is None:  # dbt takes the latest version
            found = self._latest(wanted)
        if package is not None and len(found) > 1:
            found = [key for key in found if key.schema.lower() == plain_name(package).lower()]
        return found

    def _latest(self, name: str) -> list[Key]:
        versions = {
            int(it[1]): keys
            for other, keys in self._named.items()
            if (it := re.fullmatch(rf"{name}_v(\d+)", other))
        }
        return versions[max(versions)] if versions else []

    def source(self, node: DbtNode, source_name: str, name: str) -> NamedRelation:
        key = Key(plain_name(source_name), plain_name(name))
        self._known.setdefault(str(key), key)
        return NamedRelation(str(key))


class ProjectPlaceholders(Placeholders):
    """Placeholders for the relations of a project of ours."""

    def relation_of(self, unique_id: str) -> DbtRelation:
        key = self.names.key_of(unique_id)
        return DbtRelation(None, key.schema, key.name, f'"{key.schema}"."{key.name}"')
