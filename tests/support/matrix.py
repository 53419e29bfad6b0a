"""The matrix of what each warehouse does: as the suite prints it, and as the docs show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dagster_models.warehouses.base import FEATURES, Capabilities

Cells = Mapping[tuple[str, str], str]
"""(feature, warehouse) -> "yes", "no", or "FAILED"."""


def lines(cells: Cells, names: Sequence[str]) -> list[str]:
    width = max(map(len, FEATURES))
    found = [" " * width + "".join(f"  {name:<9}" for name in names)]
    for feature in FEATURES:
        row = "".join(f"  {cells.get((feature, name), '-'):<9}" for name in names)
        found.append(f"{feature:<{width}}{row}")
    return [line.rstrip() for line in found]


def promised(every: Iterable[Capabilities]) -> dict[tuple[str, str], str]:
    """What the capability data says of each warehouse."""
    return {
        (feature, it.name): "no" if feature in it.lacks else "yes"
        for it in every
        for feature in FEATURES
    }
