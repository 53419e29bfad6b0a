"""Partitions in batches, in real runs: what is committed stays, and is not built again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from test_incremental_kills import HOOK, at_points, fail_the_killed_run

from dagster_models.core.commit import Commit
from dagster_models.core.parts import window_of
from dagster_models.core.windows import TimeWindow
from followed import Shop, shop_of
from running import Project, RunReport, make_project

pytestmark = pytest.mark.slow

SETTINGS = "partitions: {daily: {every: day, start: 2026-01-01, end: 2026-02-01}}\n"
SQL = """/* @model
materialized: incremental
partitions: {of: daily, by: day}
batch: 2
columns:
  status: {checks: [{range: {name: sql_low, min: 2, severity: warn, store_failures: true}}]}
*/
select cast(updated_at as date) as day, order_id, cast(status as int) as status
from raw.orders
"""
PYTHON = '''"""
@model
materialized: incremental
partitions: {of: daily, by: day}
batch: 2
columns:
  status: {checks: [{range: {name: python_low, min: 2, severity: warn, store_failures: true}}]}
"""
def model(warehouse):
    it = warehouse.partition
    assert it.end.day - it.start.day == len(it.keys) <= 2, it
    assert warehouse.is_incremental
    print("called for", it.keys)
    return warehouse.sql(
        "select cast(updated_at as date) as day, order_id, cast(status as int) as status"
        " from raw.orders where updated_at >= /*$partition_start*/ timestamp '2026-01-01'"
        " and updated_at < /*$partition_end*/ timestamp '2026-01-02'"
    ).arrow()
'''
FILES = {
    "models/in_sql.sql": SQL,
    "models/in_python.py": PYTHON,
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}]}]\n",
}
RANGE = {
    "dagster/asset_partition_range_start": "2026-01-01",
    "dagster/asset_partition_range_end": "2026-01-06",
}
STEPS = ("main.in_python", "main.in_sql")


def run(project: Project, again: bool = False) -> RunReport:
    """A run of six days; *again*: from the failure of the last one."""
    if again:
        return project.run_again_from_failure()
    command = [*project.command(), "--tags", json.dumps(RANGE)]
    done = subprocess.run(
        command, cwd=project.root, env=project.env, capture_output=True, text=True, timeout=100
    )
    return project.report(done.returncode, done.stdout, done.stderr)


def records(shop: Shop) -> dict[str, list[tuple[int, int, int | None]]]:
    """Step -> (first day, day after the last, inserted) of each record, in order of time."""
    columns = ", ".join(("step", "run_id", "window_start", "window_end", "inserted"))
    found: dict[str, list[tuple[int, int, int | None]]] = {step: [] for step in STEPS}
    rows = shop.rows(
        f"select {columns} from dagster_models.commits where window_start is not null"
        " order by committed_at, part"
    )
    for step, run_id, start, end, inserted in rows:
        window = window_of(Commit(run_id, step, 1, "", "", {}, window_start=start, window_end=end))
        assert isinstance(window, TimeWindow)
        found[step].append((window.start.day, window.end.day, inserted))
    return found


def days(shop: Shop, step: str) -> list[int]:
    return [day.day for (day,) in shop.rows(f"select day from {step} order by day")]


@pytest.fixture(params=["duckdb", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = shop_of(request, tmp_path, monkeypatch, FILES)
    path = made.project.root / "dagster_models.yaml"
    path.write_text(path.read_text() + SETTINGS)
    for day in range(1, 7):
        made.order(day, "1", day)
    return made


def low_rows(shop: Shop, ran: RunReport) -> dict[str, tuple[int, int, list[int]]]:
    """Of each check: its failures, the rows in scope, and the days of the rows that it stored."""
    return {
        name: (
            result["failures"],
            result["adapter_response"]["rows"],
            days(shop, f"main.failures_{name}"),
        )
        for result in ran.results["results"]
        for name in [result["unique_id"].rpartition(".")[2]]
        if name in ("sql_low", "python_low")
    }


@pytest.mark.nightly_for("postgres")
def test_a_batch_that_fails(shop: Shop) -> None:
    shop.order(3, "broken", 3)
    ran = run(shop.project)
    assert ran.code != 0
    for step in STEPS:
        assert days(shop, step) == [1, 2]
        assert records(shop)[step] == [(1, 3, 2)]
    said = "2 partitions had been committed (2026-01-01 to 2026-01-02)"
    assert ran.stdout.count(said) == 2, ran.stdout
    assert low_rows(shop, ran) == {"sql_low": (2, 2, [1, 2]), "python_low": (2, 2, [1, 2])}
    for result in ran.results["results"]:
        if result["unique_id"].startswith("test."):
            continue
        assert result["adapter_response"]["partitions"] == ["2026-01-01", "2026-01-02"]
        assert said in result["message"]
    shop.order(3, "7", 3)
    shop.order(1, "9", 1)  # it is not read again
    ran = run(shop.project, again=True)
    assert ran.code == 0, ran.stdout + ran.stderr
    for step in STEPS:
        assert days(shop, step) == [1, 2, 3, 4, 5, 6]
        assert records(shop)[step] == [(1, 3, 2), (3, 5, 2), (5, 7, 2)]
        found = shop.rows(f"select status from {step} where order_id in (1, 3) order by order_id")
        assert found == [(1,), (7,)]
    # Of all days, in whichever transaction and run they were built.
    every = (5, 6, [1, 2, 4, 5, 6])
    assert low_rows(shop, ran) == {"sql_low": every, "python_low": every}


@pytest.mark.nightly_for("recorded")
@pytest.mark.parametrize("victim", ["warehouse", "run"])
@pytest.mark.parametrize("point", ["recorded", "committed"])
def test_a_kill_in_the_second_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, victim: str
) -> None:
    """Of the warehouse process, which the run survives; or of the run, which is re-executed."""
    monkeypatch.setenv("DAGSTER_MODELS_TRUTH_POINTS", str(tmp_path / "points"))
    monkeypatch.setenv("PYTHONPATH", str(HOOK))
    text = SQL.replace(
        "from raw.orders",
        "from (select i as order_id, '1' as status, timestamp"
        " '2026-01-01' + interval 1 day * i as updated_at from range(6) t(i)) as q",
    )
    project = make_project(tmp_path, {"models/in_sql.sql": text}, SETTINGS)
    shop = Shop(project, lambda sql: None, project.rows)
    reached: list[str] = []
    started: list[subprocess.Popen[str]] = []

    def kill(pid: int, at: str) -> None:
        if at == point:
            reached.append(at)
            if len(reached) == 2:
                os.kill(pid if victim == "warehouse" else started[0].pid, signal.SIGKILL)

    with at_points(tmp_path / "points", kill):
        command = [*project.command(), "--tags", json.dumps(RANGE)]
        started.append(
            subprocess.Popen(
                command, cwd=project.root, env=project.env, stdout=subprocess.PIPE, text=True
            )
        )
        started[0].communicate(timeout=100)
        assert len(reached) >= 2
        there = days(shop, "main.in_sql")
        said = [day for start, end, _ in records(shop)["main.in_sql"] for day in range(start, end)]
        assert there == said
        if victim == "warehouse":
            assert there in ([1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6])
        fail_the_killed_run(project)
        if started[0].returncode != 0:
            again = run(project, again=True)
            assert again.code == 0, again.stdout + again.stderr
    assert days(shop, "main.in_sql") == [1, 2, 3, 4, 5, 6]
    found = [day for start, end, _ in records(shop)["main.in_sql"] for day in range(start, end)]
    assert found == [1, 2, 3, 4, 5, 6], "no day was built twice"


@pytest.mark.nightly_for("postgres")
def test_two_runs_at_once_of_one_empty_window(shop: Shop) -> None:
    command = [*shop.project.command(), "--tags", json.dumps(RANGE)]
    processes = [
        subprocess.Popen(
            command,
            cwd=shop.project.root,
            env=shop.project.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output
    for step in STEPS:
        assert days(shop, step) == [1, 2, 3, 4, 5, 6]
