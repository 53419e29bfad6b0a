"""Overhead of a run: no-op models in layers, ours beside Dagster's executors and other tools.

    python tests/bench/overhead.py [--models 100 1000 3000] [--runs 3] [--quick]
                                   [--dbt PATH] [--sqlmesh PATH] [--yato PATH]

Each line is a whole command (``dagster job execute`` or ``dbt run``), from start to end, run
in turn so that a drift of the machine's speed hits all of them, and the median is printed. "Per
step" is the wall time from the first STEP_START to the last STEP_SUCCESS in Dagster's event log,
divided by the number of steps: what the executor costs, without imports and loading.

dbt is measured if ``dbt`` with dbt-duckdb is found (``--dbt``), and so are ``sqlmesh`` and
``yato``. SQLMesh's warehouse is deleted before each of its runs, as it would find nothing to do
in the second. Bytecode is compiled first.
Dagster's multiprocess executor takes about a second per step: once, and only up to 100 models.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster_models
from commands import (
    Command,
    Ran,
    dagster,
    graph_of,
    query,
    write_dbt,
    write_ours,
    write_sqlmesh,
    write_stock,
    write_yato,
)

SLOTS = 8
OURS = "ours, pooled event log"
OURS_STOCK = "ours, stock event log"


PEERS = ("dbt", "sqlmesh", "yato")
GOALS = {
    (OURS, 1000): "12 s, 6 ms a step",
    (OURS, 3000): "three times 1,000's",
    (OURS_STOCK, 1000): "20 ms a step",
}


def contenders(
    folder: Path, models: int, peers: Mapping[str, str | None], multiprocess: bool
) -> list[Command]:
    graph = graph_of(models)
    texts = {name: query(deps, lambda dep: dep) for name, deps in graph.items()}
    ours = write_ours(folder / "ours", texts)
    stock = write_stock(folder / "stock", graph)
    found = [
        dagster(OURS, ours, SLOTS, storage="pooled"),
        dagster(OURS_STOCK, ours, SLOTS),
        dagster("Dagster in_process", stock, env={"EXECUTOR": "in_process"}),
    ]
    if dbt := peers["dbt"]:
        argv = [dbt, "run", "--threads", str(SLOTS), "--profiles-dir", "."]
        found.append(Command("dbt run", argv, write_dbt(folder / "dbt", graph)))
    if sqlmesh := peers["sqlmesh"]:
        plan = (
            f"rm -f bench.duckdb* && exec '{sqlmesh}' plan --auto-apply --no-prompts --skip-tests"
        )
        root = write_sqlmesh(folder / "sqlmesh", graph, SLOTS)
        found.append(Command("sqlmesh plan", ["sh", "-c", plan], root))
    if yato := peers["yato"]:
        argv = [yato, "run", "--db", "../yato.duckdb", "."]
        found.append(Command("yato run", argv, write_yato(folder / "yato", graph)))
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


def report(models: int, ran: Mapping[str, Sequence[Ran]]) -> None:
    walls = {name: statistics.median(r.wall for r in several) for name, several in ran.items()}
    steps = {
        name: statistics.median(found)
        for name, several in ran.items()
        if (found := [1000 * r.step_seconds / models for r in several if r.step_seconds])
    }
    head = f"{models:,} models"
    print(f"{head:30}{'command':>12}{'/ dbt':>8}{'per step':>12}{'/ in-process':>14}   goal")
    for name, wall in walls.items():
        line = f"  {name:28}{wall:10.2f} s"
        line += f"{wall / walls['dbt run']:8.2f}" if "dbt run" in walls else f"{'-':>8}"
        base = steps.get("Dagster in_process")
        line += f"{steps[name]:9.1f} ms" if name in steps else " " * 12
        line += f"{steps[name] / base:14.2f}" if name in steps and base else " " * 14
        print(f"{line}   {GOALS.get((name, models), '')}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--runs", type=int, default=3)
    for peer in PEERS:
        parser.add_argument(f"--{peer}", default=shutil.which(peer))
    parser.add_argument("--quick", action="store_true", help="ours alone, 3 models, once")
    options = parser.parse_args()
    compileall.compile_dir(str(Path(dagster_models.__file__).parent), quiet=2)
    for models in [3] if options.quick else options.models:
        with tempfile.TemporaryDirectory() as folder:
            peers = {peer: getattr(options, peer) for peer in PEERS}
            found = contenders(Path(folder), models, peers, models <= 100)
            found = found[:1] if options.quick else found
            report(models, measure(found, 1 if options.quick else options.runs))


if __name__ == "__main__":
    main()
