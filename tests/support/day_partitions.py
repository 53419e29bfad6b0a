"""A table whose days are replaced, on warehouses that say a row of it each in its own words."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from incremental_oracle import rows_of
from tasks import arrow_task

Build = Callable[..., Outcome]
#: The query of s.t that returns these rows: the day of January 2024 as the column d, and v.
Source = Callable[[list[tuple[int, int]]], str]


def days(*numbers: int) -> tuple[Partition, ...]:
    """Days of January 2024, in UTC."""
    starts = [dt.datetime(2024, 1, it, tzinfo=dt.timezone.utc) for it in numbers]
    windows = [TimeWindow(it, it + dt.timedelta(days=1)) for it in starts]
    return tuple(Partition(str(it.start.date()), it) for it in windows)


def replacing(*numbers: int, **more: Any) -> Incremental:
    return Incremental("replace", partitioned=Partitioned("d", days(*numbers), **more))


def check_days_are_replaced(
    session: WarehouseSession, build: Build, source: Source
) -> list[tuple[Outcome, int]]:
    """Five builds: the first makes the table, each other one replaces the days that it is of.
    Returns each outcome of these, and how many rows the table has then."""
    r = random.Random(1)
    given = [(r.randint(1, 4), r.randint(0, 9)) for _ in range(20)]
    first = build(source(given), replacing())
    assert first.error is None
    assert first.changes == Changes("whole", None, 20, 0, 0, None, 0)
    table, found = given, list[tuple[Outcome, int]]()
    for step in range(4):
        wanted = sorted(r.sample(range(1, 6), r.randint(1, 2)))
        given = [(r.randint(1, 5), r.randint(0, 9)) for _ in range(20)]
        outcome = build(source(given), replacing(*wanted))
        assert outcome.error is None, outcome.error
        new = [row for row in given if row[0] in wanted]
        kept = [row for row in table if row[0] not in wanted]
        changes = Changes("window", None, len(new), 0, len(table) - len(kept))
        assert outcome.changes == changes, step
        table = kept + new
        assert rows_of(session, "day(d), v") == sorted(table, key=str), step
        found.append((outcome, len(table)))
    return found


def check_rows_of_python_in_no_window(
    session: WarehouseSession, build: Build, source: Source, type_: pa.DataType, folder: Path
) -> None:
    """They are left out and counted. *type_*: of the column v."""
    build(source([(1, 1), (2, 2)]), replacing())
    table = pa.table(
        {
            "d": [dt.date(2024, 1, 2), dt.date(2024, 1, 3), None],
            "v": pa.array([7, 8, 9], type_),
        }
    )
    path, _ = bulk.write([str(folder)], table.schema, table.to_batches())
    task = replace(arrow_task("s.t", path), materialization=replacing(2), attempt=9)
    outcome = run(session, task, Stop())
    assert outcome.error is None, outcome.error
    assert outcome.changes == Changes("window", None, 1, 0, 1, 1, 1)
    assert rows_of(session, "day(d), v") == [(1, 1), (2, 7)]
