"""What became of a relation that dbt has built."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_models.core.adopted import Adopted


@dataclass(frozen=True, slots=True)
class AdoptedNode:
    unique_id: str
    name: str  #: schema and table
    what: Adopted
