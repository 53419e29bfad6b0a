"""A process that builds a snapshot is killed before each of its statements: what it has made is
there with its commit record, or the table is as before."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from dagster_models.core.materializations import Snapshot
from dagster_models.warehouses.base import WarehouseSession
from paths import SUPPORT
from systems import System, session_of

#: Kills itself before the statement of that number of its own build. It prints its outcome.
PROGRAM = """
import json, os, signal, sys
from dataclasses import replace

from dagster_models.core.materializations import Snapshot
from dagster_models.core.target_types import TARGET_TYPES
from dagster_models.processes.server.attempt import Stop, run
from systems import System, session_of
from tasks import sql_task

name, settings, how, sql, attempt, last = json.loads(sys.argv[1])
count = 0

def counted(method):
    def counting(*arguments, **more):
        global count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **more)
    return counting

with session_of(System(name, settings, "", "").open()) as session:
    for door in ("begin", "take_turn", "stage", "rows", "change", "replace_table", "columns",
                 "write_record", "commit"):
        setattr(session, door, counted(getattr(session, door)))
    task = sql_task("s.t", sql, attempt=attempt)
    outcome = run(session, replace(task, materialization=Snapshot.from_json(how)), Stop())
    print(json.dumps(outcome.to_json()["verdict"]))
"""
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
            values = {**{name: getattr(how, name) for name in how.__slots__}}
            given = json.dumps([system.name, system.settings, values, sql, attempt, last])
            child = subprocess.run(
                [sys.executable, "-c", PROGRAM, given],
                env={
                    "PYTHONPATH": os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            warehouse = system.open()
            with session_of(warehouse) as session:
                records = len(session.query("select * from dagster_models.commits")[1])
                table = table_of(session)
            warehouse.close()
            if child.returncode == 0:
                assert child.stdout.strip() == '"committed"', child.stdout + child.stderr
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
