"""What an increment costs beside a build in full, and beside the statements that dbt sends for it;
and what one day of 365 costs that is replaced.

    python tests/bench/incremental.py [duckdb postgres] [--rows 10000000] [--delta 100000] [--quick]

Half of the delta is known to the table. Each way runs three times, in turns with the others, on a
table of its own that is as large; the middle one is printed. Ratios tell, seconds do not.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from systems import System, opened_system, session_of
from tasks import sql_task

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
#: What dbt 1.12's microbatch sends for a batch, but for its names. On PostgreSQL it is a merge, and
#: leaves rows there that are gone from the source.
MICROBATCH = {
    "duckdb": "delete from {t} where moment >= '{start}' and moment < '{end}';"
    " insert into {t} (k, v, name, moment) select k, v, name, moment from new",
    "postgres": MERGE["postgres"],
}
DAY = dt.datetime(2026, 4, 11, tzinfo=dt.timezone.utc)


def rows(system: System, count: int, first: int, version: int) -> str:
    moment = "timestamp '2026-01-01' + interval '1 second' * (i * 31 % 31536000)"  # 365 days
    return (
        f"select i + {first} as k, (i * 7 + {version}) % 1000 as v, 'name ' || i as name,"
        f" {moment} as moment from {system.rows_of(count)}"
    )


def ways(
    system: System, session: WarehouseSession, size: int, delta: int
) -> dict[str, Callable[[str, int], None]]:
    """Name -> what builds the table with the delta of a round."""
    attempts = count()

    def ours(strategy: str) -> Callable[[str, int], None]:
        def build(table: str, number: int) -> None:
            task = sql_task(f"b.{table}", rows(system, delta, size - delta // 2, number))
            how = Incremental(strategy, ("k",))
            task = replace(task, materialization=how, attempt=next(attempts))
            outcome = run(session, task, Stop())
            assert outcome.error is None, outcome.error

        return build

    def dbts(*statements: str) -> Callable[[str, int], None]:
        def build(table: str, number: int) -> None:
            query = rows(system, delta, size - delta // 2, number)
            text = "; ".join(statements).format(t=f"b.{table}")
            session.execute(
                f"begin; create temporary table new as {query}; {text}; drop table new; commit"
            )

        return build

    def in_full(table: str, number: int) -> None:
        task = sql_task(f"b.{table}", rows(system, size + delta // 2, 0, number))
        outcome = run(session, replace(task, attempt=next(attempts)), Stop())
        assert outcome.error is None, outcome.error

    end = DAY + dt.timedelta(days=1)

    def a_day(table: str, number: int) -> None:
        days = (Partition(str(DAY.date()), TimeWindow(DAY, end)),)
        how = Incremental("replace", partitioned=Partitioned("moment", days))
        task = sql_task(f"b.{table}", "select k, v, name, moment from b.source")
        task = replace(task, materialization=how, attempt=next(attempts))
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error

    def a_day_as_dbt(table: str, number: int) -> None:
        start, stop = DAY.replace(tzinfo=None), end.replace(tzinfo=None)
        text = MICROBATCH[system.name].format(t=f"b.{table}", start=start, end=stop)
        query = f"select * from b.source where moment >= '{start}' and moment < '{stop}'"
        session.execute(
            f"begin; create temporary table new as {query}; {text}; drop table new; commit"
        )

    insert = "insert into {t} (k, v, name, moment) select k, v, name, moment from new"
    return {
        "merge, ours": ours("merge"),
        "delete+insert, ours": ours("delete+insert"),
        "merge, as dbt": dbts(MERGE[system.name]),
        "delete+insert, as dbt": dbts(DELETE[system.name], insert),
        "a build in full": in_full,
        "a day replaced, ours": a_day,
        "a day, as dbt's batch": a_day_as_dbt,
    }


def measure(name: str, size: int, delta: int, rounds: int) -> None:
    print(f"{name}: {delta:,} rows into {size:,}, half of them known")
    with opened_system(name) as system, session_of(system.open()) as session:
        session.prepare(["b"])
        found = ways(system, session, size, delta)
        tables = {way: f"t{number}" for number, way in enumerate(found)}
        for table in (*tables.values(), "source"):
            session.execute(f"create table b.{table} as {rows(system, size, 0, 0)}")
        seconds: dict[str, list[float]] = {way: [] for way in found}
        for number in range(1, rounds + 1):
            for way, build in found.items():
                started = time.perf_counter()
                build(tables[way], number)
                seconds[way].append(time.perf_counter() - started)
        for way, times in seconds.items():
            print(f"  {way:<24} {statistics.median(times):8.2f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("warehouses", nargs="*", default=["duckdb", "postgres"])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--delta", type=int, default=100_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size, delta, rounds = options.rows, options.delta, 3
    if options.quick:
        size, delta, rounds = 1_000, 100, 1
    for name in options.warehouses:
        measure(name, size, delta, rounds)


if __name__ == "__main__":
    main()
