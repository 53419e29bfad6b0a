"""Memory of a Python model that yields its rows in parts, beside one that returns them at once.

    python tests/bench/streams.py [--rows 50_000_000] [--quick]

The model yields Arrow batches of 500,000 rows and four columns. Printed for DuckDB and, with
DATABASE_URL, for PostgreSQL: seconds, and the peak of the anonymous memory (RssAnon: what no file
holds) of the step's process and of the warehouse process, five times a second, from /proc (Linux
only). Pages of the file between the two are in the page cache, which the kernel takes back.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from dagster_models.core.messages import Verdict
from dagster_models.core.target_types import target_type
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect
from worker_driver import Driver

PART = 500_000
MODEL = """
print("on")
import pyarrow as pa

def parts(rows):
    for first in range(0, rows, {part}):
        ids = pa.array(range(first, min(first + {part}, rows)))
        yield pa.table({{"id": ids, "k": ids.cast(pa.int32()),
                        "x": ids.cast(pa.float64()), "t": ids.cast(pa.string())}})

def model(warehouse):
    {give}
"""
WAYS = {
    "in parts": "yield from parts({rows})",
    "at once": "return pa.concat_tables(parts({rows}))",
}


class Peak(threading.Thread):
    """The peak of the anonymous memory of some processes, while it is entered."""

    def __init__(self, *pids: int) -> None:
        super().__init__(daemon=True)
        self.over, self.mib = threading.Event(), dict.fromkeys(pids, 0.0)

    def __enter__(self) -> Peak:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for pid in self.mib:
                with suppress(OSError):  # it has ended
                    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                        if line.startswith("RssAnon"):
                            self.mib[pid] = max(self.mib[pid], int(line.split()[1]) / 1024)


def measure(address: WarehouseAddress, way: str, rows: int) -> str:
    with tempfile.TemporaryDirectory() as folder, connect(address) as session:
        session.prepare(["main"])
        driver = Driver(Path(folder), address)
        driver.attempts = time.time_ns() % 2**31  # none is published twice
        began = time.perf_counter()
        source = MODEL.format(part=PART, give=WAYS[way].format(rows=rows))
        driver.start("python", source)
        driver.control.settimeout(None)
        driver.out.take("on")
        with Peak(driver.pid(), session.server_pid) as peak:
            outcome = driver.answer()
            seconds = time.perf_counter() - began
        driver.close()
        assert outcome.verdict is Verdict.COMMITTED, outcome.error
        assert session.query("select count(*) from main.built") == [(rows,)]
        session.execute("drop table main.built")
    step, server = peak.mib.values()
    return f"{way:10}{rows:12,} rows{seconds:8.1f} s{step:8.0f} MiB{server:8.0f} MiB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--quick", action="store_true", help="2 million rows")
    options = parser.parse_args()
    rows = 2_000_000 if options.quick else options.rows
    print(f"{'':45}the step  warehouse process")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "w.duckdb"))
        addresses = [WarehouseAddress(target_type("duckdb"), {"path": path})]
        if dsn := os.environ.get("DATABASE_URL"):
            addresses.append(WarehouseAddress(target_type("postgres"), {"dsn": dsn}))
        for address in addresses:
            print(address.type.name)
            for way, share in (("in parts", 1), ("in parts", 5), ("at once", 5)):
                print(f"  {measure(address, way, rows // share)}", flush=True)


if __name__ == "__main__":
    main()
