"""Python steps on a Ray cluster beside the same steps at home: seconds per step.

    python tests/bench/ray_steps.py [--steps 10] [--quick]

The runners are driven directly, without Dagster, against a PostgreSQL server that is started for
it. The cluster is one of the run's own on this machine, with eight CPUs whatever there is. `first`
has the start of all that a run needs once (with Ray the cluster, too), `alone` are steps one after
another, and `4 at once` the same number with four in flight. `cancel` is from the request to the
outcome of a step in a loop of Python's.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from dagster_models.core.model import Relation
from dagster_models.core.on_ray import OWN_CLUSTER, OnRay, RayCluster, RayNeeds
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import PythonTask, ScriptTask
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.events import Answered, Output, WorkerEvent
from dagster_models.execution.runners.task_runners import TaskRunners
from postgres_server import start_server

AT_ONCE = 4
FILES = {
    "empty script": "",
    "model of rows": "def model(warehouse): return [{'n': 1}]",
}
FOREVER = "import time\nprint('here', flush=True)\nwhile True: time.sleep(0.01)"
PLACES = {"here": None, "on Ray": OnRay(RayCluster(OWN_CLUSTER), RayNeeds(cpus=0.1))}


class Bench:
    def __init__(self, folder: Path, runners: TaskRunners, where: OnRay | None) -> None:
        self.folder, self.runners, self.where = folder, runners, where
        self.numbers, self.run_id = count(), os.urandom(4).hex()
        settings = {"dsn": "${RAY_BENCH_DSN}"}
        self.address = WarehouseAddress(target_type("postgres"), settings)
        runners.sql.prepare(self.address, ["s"])
        runners.queue.wait(0)

    def start(self, source: str) -> str:
        name, path = f"s{next(self.numbers)}", self.folder / "step.py"
        path.write_text(source)
        root, file, run_id = str(self.folder), LoadedFile(str(path)), self.run_id
        task: ScriptTask | PythonTask
        if "def model" in source:
            relation = Relation("s", name)
            task = PythonTask(run_id, f"s.{name}", 1, file, relation, root, on_ray=self.where)
        else:
            task = ScriptTask(run_id, name, 1, file, root, on_ray=self.where)
        self.runners.of(task).start(task.step, task, self.address)
        return task.step

    def events(self) -> Iterator[WorkerEvent]:
        while True:
            yield from self.runners.queue.wait(None)

    def seconds(self, source: str, steps: int = 1, at_once: int = 1) -> float:
        began, left = time.perf_counter(), steps - min(at_once, steps)
        for _ in range(steps - left):
            self.start(source)
        ended = 0
        for event in self.events():
            if isinstance(event, Output):
                continue
            assert isinstance(event, Answered), event
            assert event.outcome.succeeded, event.outcome
            ended += 1
            if left:
                self.start(source)
                left -= 1
            if ended == steps:
                break
        return time.perf_counter() - began

    def seconds_to_cancel(self) -> float:
        step, began = self.start(FOREVER), 0.0
        for event in self.events():
            if isinstance(event, Output):
                began = time.perf_counter()
                self.runners.cancel(step)
            else:
                break
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="2 steps each")
    options = parser.parse_args()
    steps = 2 if options.quick else options.steps
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: pip install 'dagster-models[ray]'")
        return
    server = start_server()
    os.environ["RAY_BENCH_DSN"] = server.dsn
    try:
        print(f"{steps} steps each, seconds a step:  first   alone   4 at once   cancel   close")
        for (name, source), (place, where) in (
            (f, p) for f in FILES.items() for p in PLACES.items()
        ):
            with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
                runners = TaskRunners()
                stack.callback(runners.close)
                bench = Bench(Path(folder), runners, where)
                first = bench.seconds(source)
                alone = statistics.median(bench.seconds(source) for _ in range(steps))
                at_once = bench.seconds(source, steps, AT_ONCE) / steps
                cancel = bench.seconds_to_cancel()
                began = time.perf_counter()
                stack.close()
                close = time.perf_counter() - began
            figures = (first, alone, at_once, cancel, close)
            print(
                f"  {name + ' ' + place:26}" + "".join(f"{it:9.3f}" for it in figures), flush=True
            )
    finally:
        server.stop()


if __name__ == "__main__":
    main()
