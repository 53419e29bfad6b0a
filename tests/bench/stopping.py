"""From a failure to the end of a run under fail-fast, with eight endless queries in flight.

    python tests/bench/stopping.py [--runs 5] [--python] [--dbt PATH] [--quick]

Nine models: eight that never end, and one that fails when all eight have started (it reads a named
pipe, and what comes out of it is not a number). It prints the seconds from the failing step's
STEP_FAILURE to the run's own failure event in Dagster's event log, and from the moment in which it
was made to fail to the end of the whole command, which is measured for dbt too.
``--python``: the eight are Python models that sleep.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from commands import Command, dagster, epoch, write_dbt, write_ours
from figures import Goal, show
from peers import add_peers, chosen_peers

GOAL = Goal(0.1, "s")
LONG = 8
ENDLESS = "select sum(i) as n from range(100000000000000) t(i)"
SLEEPING = "import time\n\ndef model(warehouse):\n    time.sleep(60)\n    return [{'n': 1}]\n"
FAILING = (
    "select id from read_csv('{pipe}', auto_detect = false, header = true, columns = {{id: 'int'}})"
)


def failed_at(home: Path) -> tuple[float, float]:
    """When the failing step failed, and when the run did: epoch seconds by the event log."""
    (file,) = (home / "history" / "runs").glob("*-*.db")
    with sqlite3.connect(file) as db:
        rows = db.execute(
            "select dagster_event_type, step_key, timestamp from event_logs where "
            "dagster_event_type in ('STEP_FAILURE', 'PIPELINE_FAILURE') order by id"
        ).fetchall()
    step = next(epoch(at) for kind, key, at in rows if kind == "STEP_FAILURE" and "fails" in key)
    return step, next(epoch(at) for kind, _, at in rows if kind == "PIPELINE_FAILURE")


def stop(command: Command, pipe: Path) -> tuple[float, float | None]:
    """(from the failure to the end of the command, from STEP_FAILURE to the run's failure)."""
    with command.started() as (process, home):
        assert process.stdout is not None
        started, told = 0, ""
        while started <= LONG:  # all of them: also the one that will fail
            line = process.stdout.readline()
            if not line:
                sys.exit(f"{command.name} ended early:\n{told}")
            told += line
            started += " START " in line
        with open(pipe, "w") as file:  # the failing model is reading by then
            file.write("id\nno number\n")
            began = time.perf_counter()
        told += process.communicate()[0]
        seconds = time.perf_counter() - began
        if process.returncode == 0:
            sys.exit(f"{command.name} did not fail:\n{told}")
        if command.name.startswith("dbt"):
            return seconds, None
        step, run = failed_at(home)
        return seconds, run - step


def ours(root: Path, pipe: Path, python: bool) -> Command:
    texts = {"fails": FAILING.format(pipe=pipe)}
    if not python:
        texts |= {f"long{i}": ENDLESS for i in range(LONG)}
    write_ours(root, texts)
    for i in range(LONG if python else 0):
        (root / "models" / "bench" / f"long{i}.py").write_text(SLEEPING)
    with open(root / "dagster_models.yaml", "a") as file:
        file.write("fail_fast: true\n")
    return dagster("dagster-models", root, LONG + 1)


def theirs(root: Path, pipe: Path, dbt: str) -> Command:
    write_dbt(root, {})
    for i in range(LONG):
        (root / "models" / f"long{i}.sql").write_text(ENDLESS)
    (root / "models" / "fails.sql").write_text(FAILING.format(pipe=pipe))
    arguments = ["run", "--fail-fast", "--threads", str(LONG + 1), "--profiles-dir", "."]
    return Command("dbt run --fail-fast", [dbt, *arguments], root)


def tell(what: str, seconds: Sequence[float], goal: Goal | None = None) -> None:
    span = f"{min(seconds):.2f} to {max(seconds):.2f}"
    show(f"{what} ({span})", statistics.median(seconds), goal, "s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--python", action="store_true", help="the eight are Python models")
    add_peers(parser, "dbt")
    parser.add_argument("--quick", action="store_true", help="one run of ours")
    options = parser.parse_args()
    alone = options.python or options.quick
    dbt = None if alone else chosen_peers(options, "dbt").get("dbt")
    with tempfile.TemporaryDirectory() as folder:
        root, pipe = Path(folder), Path(folder, "pipe")
        os.mkfifo(pipe)
        commands = [ours(root / "ours", pipe, options.python)]
        if dbt:
            commands.append(theirs(root / "dbt", pipe, dbt))
        found: dict[str, list[tuple[float, float | None]]] = {c.name: [] for c in commands}
        for _ in range(1 if options.quick else options.runs):
            for command in commands:
                found[command.name].append(stop(command, pipe))
    print(f"with {LONG} in flight: the median (all)")
    for name, figures in found.items():
        ends = [end for _, end in figures if end is not None]
        if ends:
            tell(f"{name}: from STEP_FAILURE to the run's failure", ends, GOAL)
        tell(f"{name}: from the failure to the command's end", [it for it, _ in figures])


if __name__ == "__main__":
    main()
