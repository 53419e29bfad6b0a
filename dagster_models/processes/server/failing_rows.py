"""The rows that fail a check: some of them as text, and all of them in a table of their own.

That table must survive the rollback that the check leads to. So its rows are exported while the
build still stands, and loaded in a transaction of their own when that is over. The load publishes a
table with a commit record, like any build: a kill leaves the old table or the new one, and a
relation that this project has not published is never replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.warehouses.base import WarehouseSession

#: How many rows and columns are shown, and characters of a value sent.
SHOWN_ROWS, MOST_ROWS, MOST_COLUMNS = 5, 100, 20
#: More than what is shown in the end, so that a secret is recognised before it is cut.
MOST_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Some rows, as texts."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()


NOTHING = Sample()


def sample(
    session: WarehouseSession, sql: str, limit: int | None, first: Sequence[str] = ()
) -> Sample:
    """Some of a query's rows. *first*: the columns to show first."""
    query = session.subquery(sql)
    if query is None:
        return NOTHING
    names, _ = session.read(f"SELECT * FROM (\n{query}\n) AS failing LIMIT 0")
    order = sorted(range(len(names)), key=lambda at: names[at] not in first)[:MOST_COLUMNS]
    if not order:
        return NOTHING
    listed = ", ".join(f"substr(CAST(c{at} AS VARCHAR), 1, {MOST_CHARACTERS})" for at in order)
    columns = ", ".join(f"c{at}" for at in range(len(names)))
    rows = min(limit or SHOWN_ROWS, MOST_ROWS)
    _, found = session.read(
        f"SELECT {listed} FROM (\n{query}\n) AS failing({columns}) LIMIT {rows}"
    )
    return Sample(tuple(names[at] for at in order), tuple(map(tuple, found)))
