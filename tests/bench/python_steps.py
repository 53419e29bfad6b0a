"""Python steps alone: milliseconds per step, and memory with one and with eight steps in flight.

    python tests/bench/python_steps.py [--steps 100] [--quick]

The runner of Python steps is driven directly, without Dagster: `alone` are steps one after another,
`8 at once` the same number with eight in flight. Memory (process_memory.py, Linux only) is that of
all their processes, the template among them, while so many steps wait at the same moment with their
work done, divided by their number. For the first steps of a run the template has imported nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import PythonTask, ScriptTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.events import Answered, Lost, Output, WorkerEvent
from dagster_models.execution.runners.task_runners import TaskRunners
from figures import Goal, show
from process_memory import mib, pids

SLOTS = 8
MARK = f"DAGSTER_MODELS_BENCH={os.getpid()}"  #: in the environment of our processes
FILES = {
    "empty script": "",
    "script of rows": "from dagster_models import warehouse\nwarehouse.sql('select 1').fetchall()",
    "model of rows": "def model(warehouse): return [{'n': 1}]",
    "model of pandas": "import pandas\ndef model(warehouse): return pandas.DataFrame({'n': [1]})",
    "model of polars": "import polars\ndef model(warehouse): return polars.DataFrame({'n': [1]})",
}
#: What a script does before it waits, so that its memory is seen.
WORK = {
    "empty script": "",
    "rows": "warehouse.load([{'n': 1, 't': 'a'}], name)\nwarehouse.table(name).fetchall()",
    "pandas": "import pandas\nwarehouse.load(pandas.DataFrame({'n': [1]}), name)",
    "polars": "import polars\nwarehouse.load(polars.DataFrame({'n': [1]}), name)",
}
WAITS = """
import os, time
from dagster_models import warehouse
name = f"main.t{{os.getpid()}}"
{work}
print("here")
while os.path.exists("gate"): time.sleep(0.02)
"""
NO_PANDAS = Goal(30, "MiB")  #: for each of eight steps that need no pandas, which is installed


class Bench:
    def __init__(self, folder: Path, runners: TaskRunners) -> None:
        self.folder, self.runners, self.count = folder, runners, 0
        settings = {"path": str(folder / "w.duckdb")}
        self.address = WarehouseAddress(target_type("duckdb"), settings)
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

    def mib_in_flight(self, work: str, steps: int) -> float:
        """MiB of all processes of the steps, for each of them, while they wait."""
        (self.folder / "gate").touch()
        path = self.folder / "waits.py"
        path.write_text(WAITS.format(work=work))
        for _ in range(steps):
            self.start(path)
        here = 0
        for event in self.events():
            assert not isinstance(event, (Answered, Lost)), event
            here += event.text.count("here") if isinstance(event, Output) else 0
            if here == steps:
                break
        steps_of_run = [(pid, "step") for pid, told in pids(MARK) if "processes.worker" in told]
        found = mib(steps_of_run)["step"]
        (self.folder / "gate").unlink()
        for event in self.events():
            here -= isinstance(event, Answered)
            if not here:
                return found / steps
        raise AssertionError


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """The runner of a new run."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(TaskRunners()) as runners:
        yield Bench(Path(folder), runners)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="3 steps each")
    options = parser.parse_args()
    steps = 3 if options.quick else options.steps
    os.environ.update([MARK.split("=")])
    print(f"{steps} steps each, ms a step:   the first    alone   8 at once")
    for name, source in FILES.items():
        with bench() as run:
            path = run.folder / "step.py"
            path.write_text(source)
            first = run.seconds(path, 1, 1)
            alone = statistics.median(run.seconds(path, 1, 1) for _ in range(steps))
            at_once = run.seconds(path, steps, SLOTS) / steps
        ms = "".join(f"{1000 * seconds:11.1f}" for seconds in (first, alone, at_once))
        print(f"  {name:24}{ms}", flush=True)
    for name, work in WORK.items():
        for in_flight in (1, SLOTS):
            with bench() as run:
                first_mib = run.mib_in_flight(work, in_flight)
                later_mib = run.mib_in_flight(work, in_flight)
            light = name in ("empty script", "rows") and in_flight == SLOTS
            goal = NO_PANDAS if light else None
            of = f"memory of a step, {name}, {in_flight} in flight"
            show(f"{of}, the first of their run", first_mib, goal, "MiB")
            show(f"{of}, later", later_mib, goal, "MiB")


if __name__ == "__main__":
    main()
