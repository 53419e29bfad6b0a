"""Overhead of a run: no-op models in layers, ours beside Dagster's executors and other tools.

    python tests/bench/overhead.py [--models 100 1000 3000] [--runs 3] [--quick] [--markdown]
                                   [--ours] [--dbt PATH] [--sqlmesh PATH] [--yato PATH]

Each line is a whole command (``dagster job execute`` or ``dbt run``), from start to end, run
in turn so that a drift of the machine's speed hits all of them, and the median is printed. "Per
step" is the wall time from the first STEP_START to the last STEP_SUCCESS in Dagster's event log,
divided by the number of steps: what the executor costs, without imports and loading. "/ ours" is
how many times ours a figure is.

dbt (with dbt-duckdb), SQLMesh and yato are measured where they are installed (peers.py). SQLMesh's
warehouse is deleted before each of its runs, as it would find nothing to do in the second. Bytecode
is compiled first. The others take many times as long, so beyond 1,000 models only ours is measured,
and Dagster's multiprocess executor, which takes about a second per step, once, and up to 100.
``--markdown`` prints the table of docs/comparison.md, too.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from commands import (
    Command,
    Ran,
    compile_bytecode,
    dagster,
    graph_of,
    query,
    write_dbt,
    write_ours,
    write_sqlmesh,
    write_stock,
    write_yato,
)
from figures import Goal, show
from peers import add_peers, chosen_peers

SLOTS = 8
OURS = "ours, pooled event log"
OURS_STOCK = "ours, stock event log"
PEERS = ("dbt", "sqlmesh", "yato")

#: Command -> how docs/comparison.md calls it.
SHOWN = {
    OURS: "dagster-models, pooled event log",
    OURS_STOCK: "dagster-models, stock event log",
    "Dagster in_process": "Dagster, `in_process`",
    "Dagster multiprocess": "Dagster, `multiprocess` (once)",
    "dbt run": f"dbt, `dbt run --threads {SLOTS}`",
    "sqlmesh plan": "SQLMesh, `sqlmesh plan`",
    "yato run": "yato, `yato run`",
}

COMMAND, STEP, STOCK_STEP = Goal(12, "s"), Goal(6, "ms"), Goal(20, "ms")
COMMAND_GROWS, STEP_GROWS = Goal(3, "times"), Goal(1.1, "times")  # from 1,000 models to 3,000


@dataclass(frozen=True)
class Medians:
    """``wall``: seconds of the command. ``step_ms``: per step; NaN: it is no run of Dagster's."""

    wall: float
    step_ms: float


def contenders(folder: Path, models: int, peers: Mapping[str, str]) -> list[Command]:
    graph = graph_of(models)
    texts = {name: query(deps, lambda dep: dep) for name, deps in graph.items()}
    ours = write_ours(folder / "ours", texts)
    if models > 1000:
        return [dagster(OURS, ours, SLOTS, storage="pooled")]
    stock = write_stock(folder / "stock", graph)
    found = [
        dagster(OURS, ours, SLOTS, storage="pooled"),
        dagster(OURS_STOCK, ours, SLOTS),
        dagster("Dagster in_process", stock, env={"EXECUTOR": "in_process"}),
    ]
    if dbt := peers.get("dbt"):
        argv = [dbt, "run", "--threads", str(SLOTS), "--profiles-dir", "."]
        found.append(Command("dbt run", argv, write_dbt(folder / "dbt", graph)))
    if sqlmesh := peers.get("sqlmesh"):
        plan = (
            f"rm -f bench.duckdb* && exec '{sqlmesh}' plan --auto-apply --no-prompts --skip-tests"
        )
        root = write_sqlmesh(folder / "sqlmesh", graph, SLOTS)
        found.append(Command("sqlmesh plan", ["sh", "-c", plan], root))
    if yato := peers.get("yato"):
        argv = [yato, "run", "--db", "../yato.duckdb", "."]
        found.append(Command("yato run", argv, write_yato(folder / "yato", graph)))
    if models <= 100:
        found.append(dagster("Dagster multiprocess", stock, env={"EXECUTOR": "multiprocess"}))
    return found


def measure(found: Sequence[Command], models: int, runs: int) -> dict[str, Medians]:
    ran: dict[str, list[Ran]] = defaultdict(list)
    for number in range(runs):
        for command in found:
            if "multiprocess" not in command.name or number == 0:  # its figure is far away
                ran[command.name].append(command.run())
    return {name: medians(several, models) for name, several in ran.items()}


def medians(ran: Sequence[Ran], models: int) -> Medians:
    steps = [1000 * it.step_seconds / models for it in ran if it.step_seconds]
    wall = statistics.median(it.wall for it in ran)
    return Medians(wall, statistics.median(steps) if steps else math.nan)


def report(models: int, found: Mapping[str, Medians]) -> None:
    ours = found[OURS]
    head = f"{models:,} models"
    print(f"{head:30}{'command':>12}{'/ ours':>8}{'per step':>12}{'/ ours':>8}")
    for name, it in found.items():
        line = f"  {name:28}{it.wall:10.2f} s{it.wall / ours.wall:8.2f}"
        if not math.isnan(it.step_ms):
            line += f"{it.step_ms:9.1f} ms{it.step_ms / ours.step_ms:8.2f}"
        print(line, flush=True)


def show_goals(found: Mapping[int, Mapping[str, Medians]]) -> None:
    """The goals are those of 1,000 models, and of what is added up to 3,000."""
    few, many = found.get(1000), found.get(3000)
    if few:
        show("whole command, 1,000 models", few[OURS].wall, COMMAND)
        show("a step of 1,000, pooled event log", few[OURS].step_ms, STEP)
        show("a step of 1,000, stock event log", few[OURS_STOCK].step_ms, STOCK_STEP)
    if few and many:
        show("whole command, 3,000 / 1,000", many[OURS].wall / few[OURS].wall, COMMAND_GROWS)
        steps = many[OURS].step_ms / few[OURS].step_ms
        show("a step of 3,000 / of 1,000", steps, STEP_GROWS)


def show_rows(found: Mapping[int, Mapping[str, Medians]]) -> None:
    """The table of docs/comparison.md: each whole command, and its ratio to ours."""
    print(
        "\n| whole command |" + "".join(f" {models:,} models | beside ours |" for models in found)
    )
    print("| --- |" + " --- | --- |" * len(found))
    for name, shown in SHOWN.items():
        if any(name in of for of in found.values()):
            cells = "".join(_cells(of.get(name), of[OURS]) for of in found.values())
            print(f"| {shown} |{cells}")


def _cells(it: Medians | None, ours: Medians) -> str:
    return f" {it.wall:.1f} s | {it.wall / ours.wall:.1f} |" if it else " not measured | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 3000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ours", action="store_true", help="without Dagster's own and the others")
    add_peers(parser, *PEERS)
    parser.add_argument("--markdown", action="store_true", help="print docs/comparison.md's table")
    parser.add_argument("--quick", action="store_true", help="ours alone, 3 models, once")
    options = parser.parse_args()
    alone = options.quick or options.ours
    peers = {} if alone else chosen_peers(options, *PEERS)
    compile_bytecode()
    medians_of: dict[int, Mapping[str, Medians]] = {}
    for models in [3] if options.quick else options.models:
        with tempfile.TemporaryDirectory() as folder:
            commands = contenders(Path(folder), models, peers)
            commands = commands[: 1 if options.quick else 2] if alone else commands
            found = measure(commands, models, 1 if options.quick else options.runs)
        medians_of[models] = found
        report(models, found)
    show_goals(medians_of)
    if options.markdown:
        show_rows(medians_of)


if __name__ == "__main__":
    main()
