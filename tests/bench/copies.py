"""A table copied from PostgreSQL to DuckDB and back by `materialized: copy`, beside plain files.

    python tests/bench/copies.py [--rows 10_000_000] [--quick]

The server is that of DATABASE_URL, or one of the benchmark's own. Printed for each copy: seconds,
and the peak of the anonymous memory (RssAnon: what no file holds) of the step's process and of the
two warehouse processes, five times a second, from /proc (Linux only). The increment is of 1 % more
rows. Beside it: COPY to a CSV file and DuckDB's own reading of that, and DuckDB's writing of a CSV
file and COPY from that.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import duckdb
import psycopg

from addresses import duckdb_at, postgres_at
from dagster_models.core.copied import Copied
from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.messages import Verdict
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect
from postgres_server import start_server
from streams import Peak
from worker_driver import Driver

COLUMNS = "id bigint, updated_at timestamp, price numeric(12,2), note text"
ROWS = (
    "select i, timestamp '2024-01-01' + i * interval '1 second', (i % 100000) / 100.0,"
    " 'order ' || i from generate_series({}, {}) as s(i)"
)


@contextmanager
def server() -> Iterator[str]:
    if dsn := os.environ.get("DATABASE_URL"):
        yield dsn
        return
    own = start_server()
    yield own.dsn
    own.stop()


def copied(folder: Path, here: WarehouseAddress, there: WarehouseAddress, table: str) -> str:
    """What one copy of the rows past the largest id took."""
    every = f"select * from {table}"
    newer = f"SELECT * FROM ({every}) AS copied WHERE id > {SINCE}"
    driver = Driver(folder, here)
    driver.attempts = time.time_ns() % 2**31  # none is published twice
    with connect(here) as session, connect(there) as other:
        session.prepare(["main"])
        began = time.perf_counter()
        how = Incremental("append", since=Since("id"))
        copy = Copied("there", there.to_json(), every, newer)
        driver.start("python", "", materialization=how, copied=copy)
        driver.control.settimeout(None)
        driver.next_session()
        with Peak(driver.pid(), session.server_pid, other.server_pid) as peak:
            outcome = driver.answer()
            seconds = time.perf_counter() - began
    driver.close()
    assert outcome.verdict is Verdict.COMMITTED, outcome.error
    assert outcome.changes is not None
    memory = "".join(f"{mib:8.0f} MiB" for mib in peak.mib.values())
    return f"{outcome.changes.inserted or 0:12,} rows{seconds:8.1f} s{memory}"


def by_file(dsn: str, path: str, folder: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same by CSV files, as one would write it by hand."""
    file = folder / "rows.csv"

    def out() -> None:
        with psycopg.connect(dsn) as pg, pg.cursor() as cursor, file.open("wb") as sink:
            copy = cursor.copy(b"copy raw.orders to stdout (format csv)")
            with copy as parts:
                for part in parts:
                    sink.write(part)
        with duckdb.connect(path) as duck:
            read = f"read_csv('{file}', header=false, names=['id','updated_at','price','note'])"
            duck.execute(f"create or replace table main.plain as from {read}")

    def back() -> None:
        with duckdb.connect(path) as duck:
            duck.execute(f"copy main.plain to '{file}' (format csv, header false)")
        with psycopg.connect(dsn) as pg, pg.cursor() as cursor, file.open("rb") as source:
            cursor.execute(f"create table raw.plain ({COLUMNS})".encode())
            with cursor.copy(b"copy raw.plain from stdin (format csv)") as copy:
                while part := source.read(1 << 20):
                    copy.write(part)

    yield "to DuckDB by a CSV file", out
    yield "back by a CSV file", back


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true", help="200,000 rows")
    options = parser.parse_args()
    rows = 200_000 if options.quick else options.rows
    with tempfile.TemporaryDirectory() as name, server() as dsn:
        folder, path = Path(name), str(Path(name, "w.duckdb"))
        duck, pg = duckdb_at(path), postgres_at(dsn)
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(b"create schema raw")
            admin.execute(f"create table raw.orders ({COLUMNS})".encode())
            admin.execute(f"insert into raw.orders {ROWS.format(1, rows)}".encode())
            print(f"{'':52}the step   warehouse   the other")
            print(f"{'to DuckDB':24}{copied(folder, duck, pg, 'raw.orders')}", flush=True)
            more = ROWS.format(rows + 1, rows + rows // 100)
            admin.execute(f"insert into raw.orders {more}".encode())
            print(f"{'an increment':24}{copied(folder, duck, pg, 'raw.orders')}", flush=True)
            print(f"{'back to PostgreSQL':24}{copied(folder, pg, duck, 'main.built')}", flush=True)
            same = "select count(*) from (select * from raw.orders except all table main.built) x"
            assert admin.execute(same.encode()).fetchall() == [(0,)]
        for what, act in by_file(dsn, path, folder):
            began = time.perf_counter()
            while True:  # the warehouse process keeps the file for a moment
                try:
                    act()
                    break
                except duckdb.IOException:
                    time.sleep(0.2)
                    began = time.perf_counter()
            print(f"{what:24}{rows:12,} rows{time.perf_counter() - began:8.1f} s", flush=True)


if __name__ == "__main__":
    main()
