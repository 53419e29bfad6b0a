"""What 20 checks of single rows cost in one scan, beside 20 queries, and beside `dbt test`.

    python tests/bench/checks.py [duckdb postgres] [--rows 10000000] [--quick]

Ten columns are checked for NULL, five for a list of values and five for a range; all checks pass.
Each way runs three times, in turns with the others; the middle one is printed, and its ratio to the
scan. dbt runs with four threads if DAGSTER_MODELS_DBT is a Python that has dbt-core and the
adapters; what counts is the time from its first query to the end of its last one, without its
start. Ratios tell, seconds do not.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.processes.server import checks
from dagster_models.warehouses.base import WarehouseSession
from dbt_profiles import dbt_profile
from systems import System, opened_system, session_of

DBT = os.environ.get("DAGSTER_MODELS_DBT", "")
COLUMNS = [f"c{number}" for number in range(10)]
VALUES = range(8)
ROUNDS = 3


def conditions() -> dict[str, str]:
    """Name -> which rows offend."""
    listed = ", ".join(map(str, VALUES))
    found = {f"not_null_{column}": f"{column} is null" for column in COLUMNS}
    for column in COLUMNS[:5]:
        found[f"accepted_{column}"] = f"{column} is not null and not {column} in ({listed})"
    for column in COLUMNS[5:]:
        found[f"range_{column}"] = f"{column} is not null and ({column} < 0 or {column} > 9)"
    return found


def row_checks() -> list[CheckTask]:
    return [
        CheckTask(name, f"select * from {OWN_RELATION} where {condition}", condition=condition)
        for name, condition in conditions().items()
    ]


def rows(system: System, count: int) -> str:
    listed = ", ".join(
        f"cast(i * {number + 3} % 8 as int) as {column}" for number, column in enumerate(COLUMNS)
    )
    return f"select {listed} from {system.rows_of(count)}"


def ours(system: System, *, apart: bool) -> float:
    warehouse = system.open()
    with session_of(warehouse) as session:
        started = time.perf_counter()
        _run(session, apart)
        seconds = time.perf_counter() - started
    warehouse.close()
    return seconds


def _run(session: WarehouseSession, apart: bool) -> None:
    table = checks.Checked("b.t", "b.t", tuple(COLUMNS))
    for outcome in checks.run(session, row_checks(), table, checks.Known(apart=apart)):
        assert outcome.passed, outcome


def dbt_project(system: System, folder: Path) -> None:
    tests: dict[str, list[Any]] = {column: ["not_null"] for column in COLUMNS}
    for column in COLUMNS[:5]:
        tests[column].append({"accepted_values": {"values": [*VALUES], "quote": False}})
    columns = [{"name": name, "data_tests": its} for name, its in tests.items()]
    source = {"name": "b", "tables": [{"name": "t", "columns": columns}]}
    files = {
        "profiles.yml": json.dumps({"p": dbt_profile(system, "b", threads=4)}),
        "dbt_project.yml": json.dumps({"name": "p", "profile": "p", "version": "1.0"}),
        "models/sources.yml": json.dumps({"sources": [source]}),
    }
    for name, condition in conditions().items():
        if name.startswith("range"):
            files[f"tests/{name}.sql"] = (
                f"select * from {{{{ source('b', 't') }}}} where {condition}"
            )
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def dbt(folder: Path) -> float:
    command = [str(Path(DBT).parent / "dbt"), "test", "--threads", "4", "--profiles-dir", "."]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    results = json.loads((folder / "target/run_results.json").read_text())
    assert len(results["results"]) == len(row_checks())
    times = [
        timing
        for result in results["results"]
        for timing in result["timing"]
        if timing["name"] == "execute"
    ]
    first = min(timing["started_at"] for timing in times)
    last = max(timing["completed_at"] for timing in times)
    return _epoch(last) - _epoch(first)


def _epoch(moment: str) -> float:
    return dt.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def measure(name: str, size: int, rounds: int) -> None:
    print(f"{name}: 20 checks on {size:,} rows")
    with opened_system(name) as system, tempfile.TemporaryDirectory() as folder:
        warehouse = system.open()
        with session_of(warehouse) as session:
            session.execute(f"create schema b; create table b.t as {rows(system, size)}")
            if name == "postgres":
                session.execute("vacuum analyze b.t")
        warehouse.close()
        ways: dict[str, Callable[[], float]] = {
            "one scan": lambda: ours(system, apart=False),
            "20 queries": lambda: ours(system, apart=True),
        }
        if DBT:
            dbt_project(system, Path(folder))
            ways["dbt test --threads 4"] = lambda: dbt(Path(folder))
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, run in ways.items():
                seconds[way].append(run())
        scan = statistics.median(seconds["one scan"])
        for way, times in seconds.items():
            middle = statistics.median(times)
            print(f"  {way:<24} {middle:8.3f} s {middle / scan:6.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("warehouses", nargs="*", default=["duckdb", "postgres"])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size, rounds = (1_000, 1) if options.quick else (options.rows, ROUNDS)
    for name in options.warehouses:
        measure(name, size, rounds)


if __name__ == "__main__":
    main()
