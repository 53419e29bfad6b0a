"""What ``import-dbt --adopt`` did, for the terminal and for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from dagster_models.core.adopted import ADOPTIONS
from dagster_models.dbt.adoption import AdoptedNode

_SAYS = {
    "adopted": "adopted: runs go on from them",
    "recorded": "have a commit record already",
    "left": "left as they are",
    "missing": "not there: the first run builds them",
    "replaced": "replaced by each run, as their kind is",
}


def adoption_lines(found: Sequence[AdoptedNode]) -> Iterator[str]:
    """The summary for a terminal: the reason of each that has one is in it."""
    counts = Counter(it.what.state for it in found)
    yield "Relations that dbt has built:"
    for state in ADOPTIONS:
        if counts[state]:
            yield f"  {counts[state]:>6}  {_SAYS[state]}"
    for it in found:
        if it.what.why:
            yield f"  {it.what.state}: {it.name}: {it.what.why}"


def has_left(found: Sequence[AdoptedNode]) -> bool:
    return any(it.what.state == "left" for it in found)


def adoption_json(found: Sequence[AdoptedNode]) -> list[dict[str, Any]]:
    return [
        {"unique_id": it.unique_id, "name": it.name, "state": it.what.state, "why": it.what.why}
        for it in found
    ]
