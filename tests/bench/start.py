"""The start of a run: what is imported before its first step, and where the rest of the time goes.

    python tests/bench/start.py [--models 1000] [--runs 3] [--quick]

- imports: ``dagster job execute`` of one model under ``-X importtime``, up to the line that says
  that its step starts: the modules, the milliseconds that they take themselves (with the tracing
  that this needs, so about a half more than without), and the packages that take longest;
- creation: what Dagster does in ``dagster job execute`` before its run is there (the snapshots of
  job and plan, the run, an event for each asset), in a process that has loaded the project;
- the first step: from the command's start to the first STEP_START. The texts are known, as in every
  run but the first one.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from commands import (
    BATCHES,
    STORAGES,
    Command,
    asked_for,
    compile_bytecode,
    dagster,
    events_of,
    graph_of,
    query,
    write_ours,
)
from figures import Goal, show

CREATED = Goal(1, "s")
SHOWN = 8  #: packages
_LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$")
CREATION = """
import json, runpy, time
from dagster import DagsterInstance
from dagster._core.definitions.reconstruct import reconstructable
from dagster._core.execution.api import create_execution_plan
job = runpy.run_path("definitions.py")["defs"].resolve_job_def("bench")
with DagsterInstance.get() as instance:
    instance.get_runs()  # makes its tables
    began = time.perf_counter()
    plan = create_execution_plan(job)
    planned = time.perf_counter()
    instance.create_run_for_job(job, execution_plan=plan)
    print(json.dumps([time.perf_counter() - planned, planned - began]))
"""


@dataclass(frozen=True)
class Imports:
    """``by_package``: package -> milliseconds of its own modules."""

    modules: int
    by_package: Counter[str]


def imports(command: Command) -> Imports:
    """What a run of the command imports before its first step."""
    argv = [sys.executable, "-X", "importtime", *command.argv]
    traced = Command(command.name, argv, command.cwd, command.env, command.storage)
    modules, by_package = 0, Counter[str]()
    with traced.started() as (process, _):
        assert process.stdout is not None
        for line in process.stdout:
            if " START " in line:
                break
            if found := _LINE.match(line):
                modules += 1
                by_package[found[2].partition(".")[0]] += int(found[1]) / 1000
        else:
            sys.exit("no step has started")
        process.communicate()
    return Imports(modules, by_package)


def creation(root: Path) -> tuple[float, float]:
    """Seconds of the run's creation, and of the execution plan that it is given."""
    with tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text(STORAGES["pooled"])
        env = {**os.environ, **BATCHES, "DAGSTER_HOME": home}
        command = [sys.executable, "-c", CREATION]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    created, planned = json.loads(done.stdout.splitlines()[-1])
    return created, planned


def first_step(command: Command) -> float:
    """Seconds from the command's start to the first STEP_START."""
    began = time.time()
    with command.started() as (process, home):
        told, _ = process.communicate()
        if process.returncode:
            sys.exit(told[-3000:])
        return min(at for kind, _, at in events_of(home) if kind == "STEP_START") - began


def projects(folder: Path, models: int) -> Iterator[Command]:
    """Of one model and of many, whose texts are known."""
    for count in (1, models):
        texts = {name: query(deps, str) for name, deps in graph_of(count).items()}
        root = write_ours(folder / f"of_{count}", texts)
        command = dagster("ours", root, 8, storage="pooled")
        command.run()
        yield command


def main() -> None:
    models, runs = asked_for(__doc__, quick=2)
    compile_bytecode()
    with tempfile.TemporaryDirectory() as folder:
        of_one, of_many = projects(Path(folder), models)
        found = imports(of_one)
        show(
            f"imports before the first step: {found.modules:,} modules, traced",
            sum(found.by_package.values()),
            None,
            "ms",
        )
        for package, milliseconds in found.by_package.most_common(SHOWN):
            show(f"    {package}", milliseconds, None, "ms")
        created = [creation(of_many.cwd) for _ in range(runs)]
        show(
            f"creation of the run, {models:,} models",
            statistics.median(it for it, _ in created),
            CREATED,
        )
        show("its execution plan", statistics.median(it for _, it in created), None, "s")
        for count, command in ((1, of_one), (models, of_many)):
            seconds = statistics.median(first_step(command) for _ in range(runs))
            show(f"the first step starts, of {count:,}", seconds, None, "s")


if __name__ == "__main__":
    main()
