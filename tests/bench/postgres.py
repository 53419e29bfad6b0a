"""What PostgreSQL costs: publishing in place beside a swap, rows in and out, a cancel; and whole
runs beside ``dbt run`` with dbt-postgres on the same server (postgres_runs.py).

    python tests/bench/postgres.py [publishing memory cancel overhead width stopping] [--dbt PATH]

Starts a server of its own (or uses DAGSTER_MODELS_TEST_POSTGRES). Ratios tell, seconds do not.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect
from dagster_models.warehouses.postgres.target import POSTGRES
from postgres_runs import RUNS
from postgres_server import GIVEN, start_server
from tasks import sql_task, with_sql

ROWS = 1_000_000
WIDE = (
    "select i as a, i * 2 as b, i % 7 as c, i::float8 / 3 as d, md5(i::text) as e, 'x' || i as f,"
    " now() as g, date '2020-01-01' + (i % 300) as h, i::numeric / 100 as j, i % 2 = 0 as k"
    f" from generate_series(1, {ROWS}) i"
)


def timed(what: str, do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    seconds = time.perf_counter() - started
    print(f"{what:<52} {seconds:8.2f} s", flush=True)
    return seconds


def publishing(dsn: str) -> None:
    with connect(WarehouseAddress(POSTGRES, {"dsn": dsn})) as session:

        def run(attempt: int) -> None:
            outcome = session.run(sql_task("b.t", WIDE, run_id="b", attempt=attempt))
            assert outcome.error is None, outcome.error

        timed("a new table, 1M x 10 rows", lambda: run(1))
        timed("the same in place of itself (DELETE + INSERT)", lambda: run(2))
        timed("again (over the dead rows)", lambda: run(3))
        with psycopg.connect(dsn, autocommit=True) as direct:
            swap = (
                f"begin; create table b.new as {WIDE}; drop table b.t;"
                " alter table b.new rename to t; commit"
            )
            timed(
                "a swap (create, drop, rename), for comparison",
                lambda: direct.execute(swap.encode()),
            )
            truncate = (
                f"begin; create temp table new on commit drop as {WIDE}; truncate b.t;"
                " insert into b.t select * from new; commit"
            )
            timed("TRUNCATE + INSERT, beside it", lambda: direct.execute(truncate.encode()))
        found: list[object] = []
        timed(
            "out: 1M x 10 rows to Arrow", lambda: found.append(session.export("select * from b.t"))
        )
        timed("in: 1M x 10 rows from Arrow", lambda: session.load(found[0], "b.copy"))


def memory(dsn: str) -> None:
    """10 million rows in and out of a script; what the warehouse process took at most."""
    import pyarrow as pa

    settings = {"dsn": dsn, "idle_seconds": 0.2}
    with connect(WarehouseAddress(POSTGRES, settings)) as session:
        pid = session.server_pid
        session.execute("create schema if not exists b")
        batch = pa.RecordBatch.from_pydict(
            {"n": list(range(100_000)), "t": [f"text {n}" for n in range(100_000)]}
        )
        reader = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(100)))
        timed("in: 10M x 2 rows of a stream", lambda: session.load(reader, "b.ten"))
        rows: list[int] = []
        timed(
            "out: 10M x 2 rows",
            lambda: rows.append(session.export("select * from b.ten").num_rows),
        )
        assert rows == [10_000_000]
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("VmHWM", "RssAnon")):
                print(f"the warehouse process: {line}")
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"this process, which has all rows mapped: {most} MB")


def cancel(dsn: str) -> None:
    """8 queries of a minute: from the request to the last one gone from pg_stat_activity."""
    address = WarehouseAddress(POSTGRES, {"dsn": dsn})
    sessions = [connect(address) for _ in range(8)]
    for number, session in enumerate(sessions):
        task = sql_task(f"b.c{number}", run_id="c")
        slow = with_sql(task, _MINUTE)
        session.send({"op": "task", "task": task_to_json(slow)})
    with psycopg.connect(dsn, autocommit=True) as admin:
        count = (
            "select count(*) from pg_stat_activity where state <> 'idle' and query like '%minute%'"
            " and pid <> pg_backend_pid()"
        )
        while admin.execute(count).fetchone() != (8,):
            time.sleep(0.01)

        def stop() -> None:
            for session in sessions:
                threading.Thread(target=session.cancel).start()
            while admin.execute(count).fetchone() != (0,):
                time.sleep(0.002)

        timed("8 queries of a minute: asked to stop -> all gone", stop)
    verdicts = {Outcome.from_json(s.receive()["outcome"]).verdict.value for s in sessions}
    print(f"their answers: {verdicts}")
    for session in sessions:
        session.close()


_MINUTE = (
    "select 'minute' as m, count(*) as n from generate_series(1, 20000) a(i),"
    " generate_series(1, 20000) b(j) where i::bigint * j % 7 = 8"
)


def main() -> None:
    parts: dict[str, Callable[[str], None]] = {
        part.__name__: part for part in (publishing, memory, cancel)
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", default=[*parts, *RUNS])
    parser.add_argument("--dbt", default=shutil.which("dbt"), help="a dbt that has dbt-postgres")
    parser.add_argument("--quick", action="store_true", help="ours alone, in the smallest setting")
    options = parser.parse_args()
    parts |= {
        name: partial(run, dbt=options.dbt, quick=options.quick) for name, run in RUNS.items()
    }
    given = os.environ.get(GIVEN)
    server = None if given else start_server()
    dsn = given or (server.dsn if server else "")
    try:
        for name in RUNS if options.quick else options.parts:
            print(f"-- {name}", flush=True)
            parts[name](dsn)
    finally:
        if server is not None:
            server.stop()


if __name__ == "__main__":
    main()
