"""What a check in Python may return, if rows or a number do not say enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found.

    ``failures`` is how many rows offend; None for as many as ``rows`` has. ``rows`` are those rows,
    or some of them: anything that a Python model may return. ``description`` says what was found.
    ``checked`` is the number of rows that were looked at, of which a threshold in percent is one;
    None for those of the relation.
    """

    failures: int | None = None
    description: str = ""
    rows: Any = None
    checked: int | None = None
