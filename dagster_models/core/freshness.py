"""How soon an asset is to be materialized again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Freshness:
    """From which age of the last materialization on an asset is stale, and from which, if any, that
    is worth a warning."""

    fail_seconds: float
    warn_seconds: float | None = None
