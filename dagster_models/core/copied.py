"""What a model with ``materialized: copy`` reads, and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Copied:
    """The rows of a query in another target.

    ``target`` is its name, and ``address`` that of its warehouse, as JSON. ``sql`` returns all
    rows, and ``increment`` those from ``$since`` on; "" if each build copies all.
    """

    target: str
    address: Mapping[str, Any]
    sql: str
    increment: str = ""

    def query(self, *, whole: bool) -> str:
        """What a build sends: of all rows if it is a ``whole`` one, or if each build is."""
        return (not whole and self.increment) or self.sql
