"""What the parts that write YAML ask of the part that renders SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NotRendered:
    """There is no SQL, as dbt's text needs what an import does not have."""

    reason: str


class Rendering(Protocol):
    """SQL with our names. ``text`` is a part of a node's configuration, such as a hook."""

    def of_test(self, unique_id: str) -> str | NotRendered: ...

    def of_text(self, unique_id: str, text: str) -> str | NotRendered: ...
