"""What a load says of a seed's file: its columns, what ends it early, and what may be read wrongly.

It does not depend on the types that are declared, so it can be kept by the file's bytes alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagster_models.util import csv_table
from dagster_models.util.csv_table import BadCsv
from dagster_models.util.seed_types import guess


@dataclass(frozen=True, slots=True)
class SeedLook:
    """``bad``: what ends the file early, and its line. ``doubtful``: (column, line, cell) of the
    columns that other readers would take for numbers, dates or booleans, and change."""

    names: tuple[str, ...] = ()
    bad: tuple[str, int] | None = None
    doubtful: tuple[tuple[str, int, str], ...] = ()


def look_at(data: bytes) -> SeedLook:
    try:
        table = csv_table.read(data)
    except BadCsv as error:
        return SeedLook(bad=(str(error), error.line))
    doubtful = []
    for name, cells in zip(table.names, table.columns, strict=True):
        at = guess(cells).doubtful if name else None
        if at is not None:
            doubtful.append((name, table.lines[at], str(cells[at])))
    bad = (str(table.bad), table.bad.line) if table.bad is not None else None
    return SeedLook(table.names, bad, tuple(doubtful))
