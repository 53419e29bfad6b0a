"""What those who write headers and checks ask of those who know names and SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NotRendered:
    """There is no SQL, as dbt's text needs what an import does not have."""

    reason: str


class Lookup(Protocol):
    """What is imported under which name. ``meant``: the node that a source is the relation of, or
    else the unique_id itself. ``name``: in our SQL, with its schema; "" if it is not imported."""

    def meant(self, unique_id: str) -> str: ...

    def name(self, unique_id: str) -> str: ...


class Rendering(Protocol):
    """SQL with our names. ``text`` is a part of a node's configuration, such as a hook."""

    def of_test(self, unique_id: str) -> str | NotRendered: ...

    def of_text(self, unique_id: str, text: str) -> str | NotRendered: ...
