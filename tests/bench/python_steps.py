"""Python steps alone: milliseconds per step, and memory with eight steps in flight.

    python tests/bench/python_steps.py [--steps 100] [--quick]

The runner of Python steps is driven directly, without Dagster: `alone` are steps one after another,
`8 at once` the same number with eight in flight. Memory is the proportional set size (Linux only)
of all their processes, while eight steps wait at the same moment with their libraries loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.target_types import TARGET_TYPES
from dagster_models.core.tasks import PythonTask, ScriptTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.task_runners import TaskRunners

SLOTS = 8
MARK = f"DAGSTER_MODELS_BENCH={os.getpid()}"  #: in the environment of our processes
FILES = {
    "empty script": "",
    "model of rows": "def model(warehouse): return [{'n': 1}]",
    "model of pandas": "import pandas\ndef model(warehouse): return pandas.DataFrame({'n': [1]})",
    "model of polars": "import polars\ndef model(warehouse): return polars.DataFrame({'n': [1]})",
}
WAITS = """
import os, time
print("here")
while os.path.exists("gate"): time.sleep(0.02)
"""


class Bench:
    def __init__(self, folder: Path, runners: TaskRunners) -> None:
        self.folder, self.runners, self.count = folder, runners, 0
        settings = {"path": str(folder / "w.duckdb")}
        self.address = WarehouseAddress(TARGET_TYPES["duckdb"], settings)
        runners.sql.prepare(self.address, ["main"])
        runners.queue.wait(0)

    def start(self, path: Path) -> None:
        self.count += 1
        name, file, root = f"s{self.count}", LoadedFile(str(path)), str(self.folder)
        task: ScriptTask | PythonTask = ScriptTask("r", name, 1, file, root)
        if "def model" in path.read_text():
            task = PythonTask("r", f"main.{name}", 1, file, Relation("main", name), root)
        self.runners.python.start(name, task, self.address)

    def events(self) -> Iterator[WorkerEvent]:
        while True:
            yield from self.runners.queue.wait(None)

    def seconds(self, path: Path, steps: int, at_once: int) -> float:
        began, started, ended = time.perf_counter(), 0, 0
        for _ in range(min(at_once, steps)):
            self.start(path)
            started += 1
        for event in self.events():
            assert not isinstance(event, Lost), event
            if isinstance(event, Answered):
                assert event.outcome.succeeded, event.outcome
                ended += 1
                if started < steps:
                    self.start(path)
                    started += 1
                elif ended == steps:
                    return time.perf_counter() - began
        raise AssertionError

    def mib_in_flight(self, source: str) -> float:
        """MiB of all processes of the steps while eight wait."""
        (self.folder / "gate").touch()
        path = self.folder / "waits.py"
        path.write_text(source.partition("\n")[0] + WAITS)
        for _ in range(SLOTS):
            self.start(path)
        here = 0
        for event in self.events():
            here += isinstance(event, Output) and event.text.count("here")
            if here == SLOTS:
                break
        found = sum(_mib_of_steps())
        (self.folder / "gate").unlink()
        for event in self.events():
            here -= isinstance(event, Answered)
            if not here:
                return found
        raise AssertionError


def _mib_of_steps() -> Iterator[float]:
    for name in os.listdir("/proc"):
        with suppress(OSError):
            command = Path("/proc", name, "cmdline").read_bytes()
            environ = Path("/proc", name, "environ").read_bytes()
            if b"processes.worker" in command and MARK.encode() in environ:
                for line in Path("/proc", name, "smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        yield int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="3 steps each")
    options = parser.parse_args()
    steps = 3 if options.quick else options.steps
    os.environ.update([MARK.split("=")])
    print(f"{steps} steps each, ms a step:   the first    alone   8 at once   MiB, 8 in flight")
    for name, source in FILES.items():
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.closing(TaskRunners()) as runners,
        ):
            bench = Bench(Path(folder), runners)
            path = bench.folder / "step.py"
            path.write_text(source)
            first = bench.seconds(path, 1, 1)
            alone = statistics.median(bench.seconds(path, 1, 1) for _ in range(steps))
            at_once = bench.seconds(path, steps, SLOTS) / steps
            mib = bench.mib_in_flight(source)
        ms = "".join(f"{1000 * seconds:11.1f}" for seconds in (first, alone, at_once))
        print(f"  {name:24}{ms}{mib:18.0f}", flush=True)


if __name__ == "__main__":
    main()
