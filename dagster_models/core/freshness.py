"""How old may be what an asset has."""

from __future__ import annotations

from dataclasses import dataclass

#: The kind of the check of a source's newest row, and its name. What it counts is seconds.
FRESHNESS = "freshness"
#: Its argument: when a row came, as SQL over that row.
LOADED_AT = "loaded_at"


@dataclass(frozen=True, slots=True)
class Freshness:
    """From which age of the last materialization on an asset is stale, and from which, if any, that
    is worth a warning."""

    fail_seconds: float
    warn_seconds: float | None = None
