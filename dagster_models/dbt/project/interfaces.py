"""What those who write headers and checks ask of those who know names and SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dagster_models.core.model import Key
from dagster_models.dbt.project.manifest import DbtNode


@dataclass(frozen=True, slots=True)
class NotRendered:
    """There is no SQL, as dbt's text needs what an import does not have."""

    reason: str


class RelationNames(Protocol):
    """What our SQL calls the relations that a text may read, by their unique_ids; ``ref`` is what
    it means, and raises UnknownRef. ``is_unique``: whether the bare name means it alone."""

    def key_of(self, unique_id: str) -> Key: ...

    def is_unique(self, unique_id: str) -> bool: ...

    def ref(
        self, node: DbtNode, name: str, package: str | None, version: str | None
    ) -> HasUniqueId: ...

    def source(self, node: DbtNode, source_name: str, name: str) -> HasUniqueId: ...


class HasUniqueId(Protocol):
    @property
    def unique_id(self) -> str: ...


class Lookup(Protocol):
    """What is imported under which name. ``meant``: the node that a source is the relation of, or
    else the unique_id itself. ``name``: in our SQL, with its schema; "" if it is not imported."""

    def meant(self, unique_id: str) -> str: ...

    def name(self, unique_id: str) -> str: ...


class Rendering(Protocol):
    """SQL with our names. ``text`` is a part of a node's configuration, such as a hook."""

    def of_test(self, unique_id: str) -> str | NotRendered: ...

    def of_text(self, unique_id: str, text: str) -> str | NotRendered: ...
