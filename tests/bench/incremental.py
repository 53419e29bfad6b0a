"""What an increment costs beside a build in full, beside the statements that dbt sends for it, and
beside dbt itself; and what one day of 365 costs that is replaced.

    python tests/bench/incremental.py [duckdb postgres] [--rows 10000000] [--spread]

Half of the delta is known to the table: its last rows or, with --spread, rows all over it. Each
way runs five times, in turns with the others, on a table of its own that is as large; the middle
one is printed, by the clock and, on DuckDB, as CPU time. dbt itself is measured if
DAGSTER_MODELS_DBT is a Python that has dbt-core and the adapter of the warehouse: the time is what
it reports for the model, so without its start. Ratios tell, seconds do not.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dbt_profiles import dbt_profile
from systems import System, opened_system, session_of
from tasks import sql_task

DBT = os.environ.get("DAGSTER_MODELS_DBT", "")
ROUNDS = 5

#: What dbt 1.11's merge and delete+insert send, but for its names.
MERGE = {
    "duckdb": "merge into {t} as t using new as n on t.k = n.k"
    " when matched then update by name when not matched then insert by name",
    "postgres": "merge into {t} as t using new as n on t.k = n.k when matched then update set"
    " k = n.k, v = n.v, name = n.name, moment = n.moment when not matched then insert"
    " (k, v, name, moment) values (n.k, n.v, n.name, n.moment)",
}
DELETE = {
    "duckdb": "delete from {t} as t using new as n where t.k = n.k",
    "postgres": "delete from {t} as t where (k) in (select distinct k from new)",
}
INSERT = "insert into {t} (k, v, name, moment) select k, v, name, moment from new"
#: What dbt 1.12's microbatch sends for a batch, but for its names. On PostgreSQL it is a merge, and
#: leaves rows there that are gone from the source.
MICROBATCH = {
    "duckdb": "delete from {t} where moment >= '{start}' and moment < '{end}'; " + INSERT,
    "postgres": MERGE["postgres"],
}
DAY = dt.datetime(2026, 4, 11, tzinfo=dt.timezone.utc)
NEXT = DAY + dt.timedelta(days=1)


def rows(system: System, count: int, key: str, version: int) -> str:
    moment = "timestamp '2026-01-01' + interval '1 second' * (i * 31 % 31536000)"  # 365 days
    return (
        f"select {key} as k, (i * 7 + {version}) % 1000 as v, 'name ' || i as name,"
        f" {moment} as moment from {system.rows_of(count)}"
    )


@dataclass(frozen=True)
class Bench:
    """The tables are b.<name>, one for each way, and b.source."""

    system: System
    session: WarehouseSession
    size: int
    delta: int
    spread: bool
    attempts: Any

    def new(self, number: int) -> str:
        """The delta of a round, half of which the rounds before have not made."""
        half = self.delta // 2
        known = self.size + (number - 1) * half
        key = f"i + {known - half}"
        if self.spread:
            step = self.size // half
            key = f"case when i < {half} then i * {step} + {number} else {known - half} + i end"
        return rows(self.system, self.delta, key, number)

    def build(self, table: str, query: str, how: Incremental | None) -> None:
        task = replace(sql_task(f"b.{table}", query), attempt=next(self.attempts))
        outcome = run(self.session, replace(task, materialization=how) if how else task, Stop())
        assert outcome.error is None, outcome.error

    def send(self, table: str, query: str, *statements: str) -> None:
        text = "; ".join(statements).format(t=f"b.{table}", start=DAY.date(), end=NEXT.date())
        self.session.execute(
            f"begin; create temporary table new as {query}; {text}; drop table new; commit"
        )


Way = Callable[[str, int], None]


def ways(it: Bench) -> dict[str, Way]:
    """Name -> what builds the table with the delta of a round."""
    name = it.system.name

    def merge(strategy: str) -> Way:
        how = Incremental(strategy, ("k",))
        return lambda table, number: it.build(table, it.new(number), how)

    def sent(*statements: str) -> Way:
        return lambda table, number: it.send(table, it.new(number), *statements)

    def in_full(table: str, number: int) -> None:
        it.build(table, rows(it.system, it.size + it.delta // 2, "i", number), None)

    def a_day(table: str, number: int) -> None:
        days = (Partition(str(DAY.date()), TimeWindow(DAY, NEXT)),)
        how = Incremental("replace", partitioned=Partitioned("moment", days))
        it.build(table, "select k, v, name, moment from b.source", how)

    def a_day_sent(table: str, number: int) -> None:
        window = f"moment >= '{DAY.date()}' and moment < '{NEXT.date()}'"
        it.send(table, f"select * from b.source where {window}", MICROBATCH[name])

    return {
        "merge, ours": merge("merge"),
        "delete+insert, ours": merge("delete+insert"),
        "merge, dbt's SQL": sent(MERGE[name]),
        "delete+insert, dbt's SQL": sent(DELETE[name], INSERT),
        "a day replaced, ours": a_day,
        "a day, dbt's batch in SQL": a_day_sent,
        "a build in full": in_full,
    }


# dbt ----------------------------------------------------------------------------------------------

STRATEGIES = {
    "merge, dbt": "materialized='incremental', incremental_strategy='merge', unique_key='k'",
    "delete+insert, dbt": "materialized='incremental', incremental_strategy='delete+insert',"
    " unique_key='k'",
    "a day, dbt": "materialized='incremental', incremental_strategy='microbatch', unique_key='k',"
    " event_time='moment', batch_size='day', begin='2026-01-01'",
}


def dbt_project(system: System, folder: Path) -> None:
    table = {"name": "source", "config": {"event_time": "moment"}}
    files = {
        "profiles.yml": json.dumps({"p": dbt_profile(system, "b")}),
        "dbt_project.yml": json.dumps({"name": "p", "profile": "p", "version": "1.0"}),
        "models/sources.yml": json.dumps({"sources": [{"name": "b", "tables": [table]}]}),
    }
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def dbt(it: Bench, folder: Path, table: str, way: str, number: int) -> float:
    config = STRATEGIES[way]
    if "microbatch" in config and it.system.name == "duckdb":
        config = config.replace(" unique_key='k',", "")  # the adapter refuses it
    query = "select * from {{ source('b', 'source') }}" if "day" in way else it.new(number)
    (folder / f"models/{table}.sql").write_text(f"{{{{ config({config}) }}}}\n{query}")
    command = [str(Path(DBT).parent / "dbt"), "run", "--select", table, "--profiles-dir", "."]
    if "microbatch" in config:
        command += ["--event-time-start", str(DAY.date()), "--event-time-end", str(NEXT.date())]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (result,) = json.loads((folder / "target/run_results.json").read_text())["results"]
    return float(result["execution_time"])


# The rounds ---------------------------------------------------------------------------------------


def timed(build: Way, table: str, number: int) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    build(table, number)
    return time.perf_counter() - wall, time.process_time() - cpu


def show(times: Mapping[str, list[tuple[float, float]]], with_cpu: bool) -> None:
    for way, found in times.items():
        wall, cpu = (statistics.median(each) for each in zip(*found, strict=True))
        shown = f"{cpu:8.3f} s of CPU" if with_cpu and cpu else ""
        print(f"  {way:<28} {wall:8.3f} s {shown}", flush=True)


def measure(name: str, size: int, delta: int, rounds: int, spread: bool) -> None:
    where = "all over the table" if spread else "at its end"
    print(f"{name}: {delta:,} rows into {size:,}, half of them known, {where}")
    with opened_system(name) as system, tempfile.TemporaryDirectory() as folder:
        times: dict[str, list[tuple[float, float]]] = {}
        warehouse = system.open()
        with session_of(warehouse) as session:
            session.prepare(["b"])
            it = Bench(system, session, size, delta, spread, count())
            found = ways(it)
            tables = {way: f"t{number}" for number, way in enumerate((*found, *STRATEGIES))}
            for way, table in (*tables.items(), ("", "source")):
                if DBT or way not in STRATEGIES:
                    session.execute(f"create table b.{table} as {rows(system, size, 'i', 0)}")
            for number in range(1, rounds + 1):
                for way, build in found.items():
                    times.setdefault(way, []).append(timed(build, tables[way], number))
        warehouse.close()
        if DBT:
            dbt_project(system, Path(folder))
            for number in range(1, rounds + 1):
                for way in STRATEGIES:
                    seconds = dbt(it, Path(folder), tables[way], way, number)
                    times.setdefault(way, []).append((seconds, 0.0))
        show(times, with_cpu=name == "duckdb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("warehouses", nargs="*", default=["duckdb", "postgres"])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--delta", type=int, default=100_000)
    parser.add_argument("--spread", action="store_true")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size, delta, rounds = options.rows, options.delta, ROUNDS
    if options.quick:
        size, delta, rounds = 1_000, 100, 1
    for name in options.warehouses:
        measure(name, size, delta, rounds, options.spread)


if __name__ == "__main__":
    main()
