"""Models that wait and use no CPU: how many slots are really filled, and how fast one is refilled.

    python tests/bench/sleepers.py [--models 48] [--seconds 1.0] [--slots 1 2 4 8 16] [--quick]

A model sleeps by reading a named pipe that this program writes to after a time. Two tables:

- width: models that sleep equally, makespan against ideal (whole rounds of sleep). "plain" is the
  same for a client of DuckDB that does only what cannot be left out: as many threads, and for each
  model one transaction with its table, a commit record, and a COMMIT that waits for the disk;
- delay: a chain of quick models beside seven that sleep all along; from each one's STEP_SUCCESS to
  the STEP_START of its downstream. ``--stock`` measures Dagster's multiprocess executor in the same
  way, with assets that sleep.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from commands import Command, Ran, dagster, write_ours
from figures import Goal, show, verdict

FEW, MANY = Goal(2, "%"), Goal(4, "%")  #: above ideal, up to 8 slots and with more
MEDIAN, LONGEST = Goal(3, "ms"), Goal(6, "ms")
CHAIN, LONG = 20, 7

STOCK = """
import time
from dagster import Definitions, asset, define_asset_job, multiprocess_executor
def make(name, deps, seconds):
    @asset(name=name, deps=deps)
    def compute(): time.sleep(seconds)
    return compute
chain = [make(f"c{{i}}", [f"c{{i - 1}}"] if i else [], 0) for i in range({chain})]
long = [make(f"long{{i}}", [], {seconds}) for i in range({long})]
executor = multiprocess_executor.configured({{"max_concurrent": {slots}}})
defs = Definitions(assets=[*long, *chain], jobs=[define_asset_job("bench")], executor=executor)
"""


@contextmanager
def pipes(folder: Path, names: Sequence[str], hold: Callable[[], object]) -> Iterator[list[str]]:
    """SQL for each name that waits until *hold* returns, counted from when it is read."""

    def serve(path: Path) -> None:
        with open(path, "w") as pipe:  # returns when somebody reads
            hold()
            pipe.write("id\n1\n")

    texts = []
    for name in names:
        path = folder / f"{name}.pipe"
        os.mkfifo(path)
        threading.Thread(target=serve, args=(path,), daemon=True).start()
        options = "auto_detect = false, header = true, columns = {id: 'int'}"
        texts.append(f"select id from read_csv('{path}', {options})")
    yield texts


def width(models: int, seconds: float, slots: int) -> Ran:
    names = [f"m{i}" for i in range(models)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with pipes(root, names, lambda: time.sleep(seconds)) as texts:
            ours = write_ours(root / "ours", dict(zip(names, texts, strict=True)))
            return dagster("ours", ours, slots, storage="pooled").run()


#: The plain client. It prints the seconds; its arguments: the database file, slots, texts.
PLAIN = """
import json, queue, sys, threading, time
import duckdb
path, slots, texts = sys.argv[1], int(sys.argv[2]), json.load(sys.stdin)
database, todo = duckdb.connect(path), queue.SimpleQueue()
database.execute("create table commits (run text, step text, attempt int, committed_at timestamp)")
database.execute("create unique index commits_key on commits (run, step, attempt)")
for pair in texts.items():
    todo.put(pair)
def work(cursor):
    while True:
        try:
            name, text = todo.get_nowait()
        except queue.Empty:
            return
        record = f"insert into commits select 'run', '{name}', 1, now()"
        for sql in ("begin", f"create or replace table {name} as {text}", record, "commit"):
            cursor.execute(sql).fetchall()
threads = [threading.Thread(target=work, args=(database.cursor(),)) for _ in range(slots)]
began = time.perf_counter()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(time.perf_counter() - began)
"""


def plain(models: int, seconds: float, slots: int) -> float:
    """How many seconds a client of DuckDB takes that does only what cannot be left out."""
    names = [f"m{i}" for i in range(models)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with pipes(root, names, lambda: time.sleep(seconds)) as texts:
            argv = [sys.executable, "-c", PLAIN, str(root / "plain.duckdb"), str(slots)]
            given = json.dumps(dict(zip(names, texts, strict=True)))
            ran = subprocess.run(argv, input=given, text=True, stdout=subprocess.PIPE, check=True)
            return float(ran.stdout)


def tell_widths(models: int, seconds: float, widths: Sequence[int]) -> None:
    print(f"{models} models that sleep {seconds} s")
    print(f"{'slots':>7}{'makespan':>12}{'ideal':>10}{'above':>8}{'plain':>8}{'command':>11}")
    for slots in widths:
        ran = width(models, seconds, slots)
        ideal = math.ceil(models / slots) * seconds
        took = ran.step_seconds or math.nan
        above = 100 * (took / ideal - 1)
        least = 100 * (plain(models, seconds, slots) / ideal - 1)
        line = (
            f"{slots:7}{took:10.2f} s{ideal:8.2f} s{above:7.1f}%{least:7.1f}%{ran.wall:9.2f} s   "
        )
        print(line + verdict(above, FEW if slots <= 8 else MANY), flush=True)


def delay_of_ours(storage: str) -> Ran:
    """The last of the chain is read as a pipe too, and its reader ends the long ones' sleep."""
    arrived = threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        long = [f"long{i}" for i in range(LONG)]
        with (
            pipes(root, long, lambda: arrived.wait(120)) as texts,
            pipes(root, ["end"], arrived.set) as (end,),
        ):
            chain = {f"c{i}": f"select * from c{i - 1}" for i in range(1, CHAIN)}
            last = f"{end} union all select id from c{CHAIN - 1}"
            sql = {
                **dict(zip(long, texts, strict=True)),
                "c0": "select 1 as id",
                **chain,
                "end": last,
            }
            # One slot more than there are sleepers: their heavier chain does not keep them out.
            ours = write_ours(root / "ours", sql)
            return dagster("ours", ours, LONG + 1, storage=storage).run()


def delay_of_stock() -> Ran:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        text = STOCK.format(chain=CHAIN // 2, long=LONG, slots=LONG + 1, seconds=40)
        (root / "definitions.py").write_text(text)
        command: Command = dagster("stock", root)
        return command.run()


def delays(ran: Ran) -> list[float]:
    """Milliseconds from a step's success to its downstream's start, while all others sleep."""
    started = {step: at for kind, step, at in ran.events if kind == "STEP_START"}
    ended = {step: at for kind, step, at in ran.events if kind == "STEP_SUCCESS"}
    long = [step for step in started if "long" in step]
    begin, end = max(started[s] for s in long), min(ended[s] for s in long)
    prefix = "bench__" if long[0].startswith("bench__") else ""
    pairs = ((f"{prefix}c{i}", f"{prefix}c{i + 1}") for i in range(CHAIN))
    return [
        1000 * (started[b] - ended[a])
        for a, b in pairs
        if b in started and begin <= ended[a] and started[b] <= end
    ]


def tell_delay(name: str, ran: Ran, goals: bool = True) -> None:
    found = delays(ran)
    for what, figure, goal in (
        ("median", statistics.median(found), MEDIAN),
        ("longest", max(found), LONGEST),
    ):
        show(f"{name}, {what} of {len(found)}", figure, goal if goals else None, "ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=48)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--stock", action="store_true", help="Dagster's multiprocess executor too")
    parser.add_argument("--quick", action="store_true", help="one width, few models, no chain")
    options = parser.parse_args()
    if options.quick:
        tell_widths(4, 0.05, [4])
        return
    tell_widths(options.models, options.seconds, options.slots)
    print(f"\nfrom success to the downstream's start, {LONG} long steps in flight")
    for storage in ("pooled", "stock"):
        tell_delay(f"ours, {storage} event log", delay_of_ours(storage))
    if options.stock:
        tell_delay("Dagster multiprocess", delay_of_stock(), goals=False)


if __name__ == "__main__":
    main()
