"""A process that builds partitions in batches is killed before some statement of some batch: what
the ledger says of each day is what the table has of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from test_partitions import daily

from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.parts import window_of
from dagster_models.core.tasks import BuildTask
from dagster_models.core.windows import Partition, overlap
from dagster_models.warehouses.base import WarehouseSession
from kill_points import build
from running import EXHAUSTIVE
from systems import System, session_of
from tasks import relation_of, sql_task

DAYS = (1, 2, 3, 4, 5)
T = relation_of("s.t")


def task_of(attempt: int) -> BuildTask:
    """Its rows say which attempt has made them: as many on each day as the day's number."""
    sql = " union all ".join(
        f"select date '2024-01-0{day}' as d, {attempt} as made_by"
        for day in DAYS
        for _ in range(day)
    )
    how = Incremental("replace", partitioned=Partitioned("d", daily(*DAYS), batch=2))
    return replace(sql_task("s.t", sql, attempt=attempt), materialization=how)


def built_by(session: WarehouseSession) -> dict[str, tuple[int, int]]:
    """Day -> the attempt that has built it, and its rows, by the table alone."""
    there = session.query(
        "select 1 from information_schema.tables where table_schema = 's' and table_name = 't'"
    )[1]
    if not there:
        return {}
    rows = session.query("select cast(d as varchar), made_by, count(*) from s.t group by 1, 2")[1]
    assert len({day for day, *_ in rows}) == len(rows), "no day is of two attempts"
    return {day: (made_by, count) for day, made_by, count in rows}


def said(session: WarehouseSession) -> dict[str, tuple[int, int]]:
    """The same by the ledger: the last record that covers a day."""
    found: dict[str, tuple[int, int]] = {}
    for commit in session.find_proofs(T):
        window = window_of(commit)
        assert window is not None
        of_it: list[Partition] = [it for it in daily(*DAYS) if overlap(it.window, window)]
        days = [int(it.key[-2:]) for it in of_it]
        assert commit.inserted == sum(days)
        found |= {it.key: (commit.attempt, day) for it, day in zip(of_it, days, strict=True)}
    return found


def points() -> Iterator[int]:
    yield from range(1, 200, 1 if EXHAUSTIVE else 4)


@pytest.mark.nightly_for("postgres")
def test_a_kill_before_a_statement_of_any_batch(system: System) -> None:
    warehouse = system.open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
    warehouse.close()
    seen: set[frozenset[int]] = set()
    for attempt, last in enumerate(points(), 1):
        child = build(system, task_of(attempt), last)
        warehouse = system.open()
        with session_of(warehouse) as session:
            table = built_by(session)
            assert table == said(session), last
        warehouse.close()
        ours = frozenset(int(day[-2:]) for day, (made_by, _) in table.items() if made_by == attempt)
        seen.add(ours)
        if child.returncode == 0:
            verdict, keys = json.loads(child.stdout)
            assert verdict == "committed"
            assert keys == [it.key for it in daily(*DAYS)]
            break
        assert child.returncode == -9, child.stderr
    assert seen == {frozenset(), frozenset({1, 2}), frozenset({1, 2, 3, 4}), frozenset(DAYS)}
