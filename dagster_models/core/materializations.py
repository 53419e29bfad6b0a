"""How a relation is kept: one value for each kind, which ``warehouses/materializations`` builds.

A new kind gets a value here, and a module and a row in the table there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Replace:
    """A table, which each build replaces as a whole."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of the query."""


Materialization: TypeAlias = "Replace | View"

#: Every kind, for what carries one across a process border.
KINDS: tuple[type, ...] = (Replace, View)
