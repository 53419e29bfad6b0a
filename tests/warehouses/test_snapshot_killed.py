"""A process that builds a snapshot is killed before each of its statements: what it has made is
there with its commit record, or the table is as before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dagster_models.core.materializations import Snapshot
from dagster_models.warehouses.base import WarehouseSession
from kill_points import build
from systems import System, session_of
from tasks import sql_task

#: Two states of the source: one row of the first is changed, one is gone, and one is new.
STATES = (
    "select 1 as k, 'a' as v union all select 2, 'a' union all select 3, 'a'",
    "select 1 as k, 'b' as v union all select 2, 'a' union all select 4, 'a'",
)


def table_of(session: WarehouseSession) -> list[tuple[object, ...]]:
    found = session.query(
        "select table_name from information_schema.tables where table_schema = 's'"
    )
    if not found[1]:
        return []
    return sorted(tuple(row) for row in session.query("select k, v, valid_to is null from s.t")[1])


@pytest.mark.nightly_for("postgres")
def test_a_kill_before_each_statement(system: System) -> None:
    how = Snapshot("check", ("k",), hard_deletes="new_record")
    warehouse = system.open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
    warehouse.close()
    tables: list[list[tuple[object, ...]]] = [[]]
    kills = attempt = 0
    for sql in STATES:
        for last in range(1, 60, 1 if len(tables) > 1 else 4):  # a first build at some
            attempt += 1
            task = sql_task("s.t", sql, attempt=attempt)
            child = build(system, replace(task, materialization=how), last)
            warehouse = system.open()
            with session_of(warehouse) as session:
                records = len(session.query("select * from dagster_models.commits")[1])
                table = table_of(session)
            warehouse.close()
            if child.returncode == 0:
                assert json.loads(child.stdout) == ["committed", []], child.stdout + child.stderr
                break
            assert child.returncode == -9, child.stderr
            kills += 1
            assert (table, records) == (tables[-1], len(tables) - 1), (sql, last)
        tables.append(table)
        assert records == len(tables) - 1
    assert kills > 15
    assert tables[1] == [(1, "a", True), (2, "a", True), (3, "a", True)]
    assert tables[2] == [
        (1, "a", False),
        (1, "b", True),
        (2, "a", True),
        (3, "a", False),
        (3, "a", True),
        (4, "a", True),
    ]
