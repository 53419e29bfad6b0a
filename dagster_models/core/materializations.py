"""How a relation is kept: values, one for each kind. ``warehouses/materializations`` builds them.

A kind that is added here gets a module there and a row in its table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Replace:
    """A table whose rows and columns are replaced as a whole."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of the query."""


Materialization: TypeAlias = "Replace | View"
