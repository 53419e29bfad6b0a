"""Overhead of a run: no-op models in layers, ours beside Dagster's executors and dbt.

    python tests/bench/overhead.py [--models 100 1000 3000] [--runs 3] [--dbt PATH] [--quick]

Each line is a whole command (``dagster job execute`` or ``dbt run``), from start to end, run
in turn so that a drift of the machine's speed hits all of them, and the median is told. "Per step"
is the wall time from the first STEP_START to the last STEP_SUCCESS in Dagster's event log, divided
by the number of steps: what the executor costs, without imports and loading.

dbt is measured if ``dbt`` with dbt-duckdb is found (``--dbt``). Bytecode is compiled first.
Dagster's multiprocess executor takes about a second per step: once, and only up to 100 models.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import dagster_models
from commands import Command, Ran, dagster, graph_of, query, write_dbt, write_ours, write_stock

SLOTS = 8


def contenders(folder: Path, models: int, dbt: str | None, multiprocess: bool) -> list[Command]:
    graph = graph_of(models)
    texts = {name: query(deps, lambda dep: dep) for name, deps in graph.items()}
    ours = write_ours(folder / "ours", texts)
    stock = write_stock(folder / "stock", graph)
    found = [
        dagster("ours, pooled event log", ours, SLOTS, storage="pooled"),
        dagster("ours, stock event log", ours, SLOTS),
        dagster("Dagster in_process", stock, env={"EXECUTOR": "in_process"}),
    ]
    if dbt:
        argv = [dbt, "run", "--threads", str(SLOTS), "--profiles-dir", "."]
        found.append(Command("dbt run", argv, write_dbt(folder / "dbt", graph)))
    if multiprocess:
        found.append(dagster("Dagster multiprocess", stock, env={"EXECUTOR": "multiprocess"}))
    return found


def measure(found: Sequence[Command], runs: int) -> dict[str, list[Ran]]:
    ran: dict[str, list[Ran]] = defaultdict(list)
    for number in range(runs):
        for command in found:
            if "multiprocess" not in command.name or number == 0:  # its figure is far away
                ran[command.name].append(command.run())
    return ran


def tell(models: int, ran: dict[str, list[Ran]]) -> None:
    walls = {name: statistics.median(r.wall for r in several) for name, several in ran.items()}
    steps = {
        name: statistics.median(1000 * r.step_seconds / models for r in several if r.step_seconds)
        for name, several in ran.items()
        if name != "dbt run"
    }
    head = f"{models:,} models"
    print(f"{head:30}{'command':>12}{'/ dbt':>8}{'per step':>12}{'/ in-process':>14}")
    for name, wall in walls.items():
        line = f"  {name:28}{wall:10.2f} s"
        line += f"{wall / walls['dbt run']:8.2f}" if "dbt run" in walls else f"{'-':>8}"
        if name in steps:
            line += f"{steps[name]:9.1f} ms"
            base = steps.get("Dagster in_process")
            line += f"{steps[name] / base:14.2f}" if base else ""
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dbt", default=shutil.which("dbt"))
    parser.add_argument("--quick", action="store_true", help="ours alone, 3 models, once")
    options = parser.parse_args()
    compileall.compile_dir(str(Path(dagster_models.__file__).parent), quiet=2)
    for models in [3] if options.quick else options.models:
        with tempfile.TemporaryDirectory() as folder:
            found = contenders(Path(folder), models, options.dbt, models <= 100)
            found = found[:1] if options.quick else found
            tell(models, measure(found, 1 if options.quick else options.runs))


if __name__ == "__main__":
    main()
