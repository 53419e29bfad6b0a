"""What each performance trick buys: the same work as it is and with one trick off, in turns.

    python tests/bench/tricks.py [NAME ...] [--models 1000] [--runs 5] [--quick]

docs/performance.md lists the tricks with these figures. A trick is switched off by a few lines of
Python that are executed before the work begins. It prints the median of the CPU seconds of all
processes of the work and of its wall time, and by how much more the work takes without the trick.
A trick that buys less than 5 % in both is not worth its code.
"""

from __future__ import annotations

import argparse
import functools
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import loading
import synthetic
from commands import compile_bytecode, dagster, graph_of, query, write_ours
from dagster_models.project.loading.sql_reader import PARSED_FILE, TRACES_FILE

SLOTS = 8


@dataclass(frozen=True)
class Trick:
    """``work``: what it is meant to make faster. ``off``: the program that switches it off."""

    name: str
    work: str
    off: str


ONE_PROCESS = (
    "import sqlglot, dagster_models.project.loading.parser_pool as pool\npool._cores = lambda: 1\n"
)
TRICKS = (
    Trick(
        "rare collections",
        "load",
        "import dagster_models.util.gc_tuning as gc_tuning\ngc_tuning._RARELY = (0, 0, 0)\n",
    ),
    Trick(
        "unchecked records",
        "load",
        "import dagster_models.definitions.column_metadata as made\n"
        "from dagster import TableColumn, TableColumnDep, TableColumnLineage, TableSchema\n"
        "def checked(record, *names):\n"
        "    return lambda values: record(**dict(zip(names, values)))\n"
        "names = 'name', 'type', 'description', 'constraints', 'tags'\n"
        "made._column = checked(TableColumn, *names)\n"
        "made._dep = checked(TableColumnDep, 'asset_key', 'column_name')\n"
        "made._schema = checked(TableSchema, 'columns', 'constraints')\n"
        "made._lineage = checked(TableColumnLineage, 'deps_by_column')\n",
    ),
    Trick(
        "assets without the decorator",
        "load",
        "import dagster_models._dagster.assets as assets\n"
        "assets._needs_the_decorator = lambda spec: True\n",
    ),
    Trick(
        "libyaml",
        "load",
        "import yaml, dagster_models.project.yaml.nodes as nodes\nnodes._FAST = yaml.SafeLoader\n",
    ),
    Trick(
        "common queries",
        "cold dependencies",
        "import dagster_models.sql.parse as parse\n"
        "parse.parse_common = lambda *given, **named: None\n",
    ),
    Trick(
        "traces ahead",
        "cold load",
        "import dagster_models.project.load as load\nload.Ahead = lambda *given: None\n",
    ),
    Trick("parser processes", "cold load", ONE_PROCESS),
    Trick(
        "one commit for several events",
        "run",
        "from contextlib import nullcontext\n"
        "from dagster_models._dagster.storage import PooledSqliteEventLogStorage as Storage\n"
        "Storage.one_commit = lambda self, run_id: nullcontext()\n",
    ),
    Trick(
        "last materialisations from the asset's row",
        "run",
        "from dagster_models._dagster.storage import PooledSqliteEventLogStorage as Storage\n"
        "del Storage.get_asset_records\n",
    ),
    Trick(
        "records of what was just stored",
        "run",
        "from dagster_models._dagster.known_records import KnownRecords\n"
        "KnownRecords.remember = lambda self, text, record: None\n",
    ),
    Trick(
        "classes of resources made once",
        "run",
        "import dagster_models.definitions.executor as executor\n"
        "executor.make_resource_classes_once = lambda context: None\n",
    ),
    Trick(
        "no copies of records for a silent console",
        "run",
        "import dagster_models.definitions.executor as executor\n"
        "def quiet_console(context):\n"
        "    for console in context.log._dagster_handler._loggers:\n"
        "        console.disabled = True\n"
        "executor.quiet_console = quiet_console\n",
    ),
    Trick(
        "remembered facts about tables",
        "run",
        "from dagster_models._dagster.storage import PooledSqliteEventLogStorage as Storage\n"
        "Storage._remembered = lambda self, fact, ask: ask()\n",
    ),
    Trick(
        "events by SQLite's own statements",
        "run",
        "from dagster_models._dagster.storage import PooledSqliteEventLogStorage as Storage\n"
        "del Storage.store_event\n",
    ),
    Trick(
        "a heap that is passed over",
        "run",
        "import gc, dagster_models.util.gc_tuning as gc_tuning\n"
        "gc_tuning.gc = type('gc', (), {**vars(gc), 'freeze': lambda: None})\n",
    ),
    Trick(
        "the stock event log held open",
        "run, stock event log",
        "from contextlib import nullcontext\n"
        "import dagster_models.definitions.executor as executor\n"
        "executor.open_event_log = lambda context: nullcontext()\n",
    ),
)

#: The CPU seconds and the seconds of one piece of work, after a program has been executed.
Work = Callable[[str], tuple[float, float]]


def works(folder: Path, models: int) -> dict[str, Work]:
    of_loads = folder / "loads"
    synthetic.write_ours(synthetic.make(models), of_loads)
    graph = graph_of(models)
    of_runs = write_ours(folder / "runs", {k: query(v, lambda dep: dep) for k, v in graph.items()})
    definitions = of_runs / "definitions.py"
    definitions.write_text(
        "import os\nexec(os.environ.get('TRICK_OFF', ''), {})\n" + definitions.read_text()
    )

    def load(off: str, cold: bool = False, what: str = "lineage") -> tuple[float, float]:
        for file in (PARSED_FILE, TRACES_FILE) if cold else ():
            (of_loads / "target" / file).unlink(missing_ok=True)
        program = f"exec({off!r}, {{}})\n{loading.LOAD}"
        figure = loading.measured(program, str(of_loads), what)
        return figure.cpu, figure.seconds

    def run(off: str, storage: str = "pooled") -> tuple[float, float]:
        env = {"TRICK_OFF": off}
        command = dagster("ours", of_runs, SLOTS, storage=storage, env=env)
        cpu_before, began = cpu_of_children(), time.perf_counter()
        command.run()
        return cpu_of_children() - cpu_before, time.perf_counter() - began

    return {
        "load": load,
        "cold load": lambda off: load(off, cold=True),
        # in one process, as *off* does not reach others
        "cold dependencies": lambda off: load(ONE_PROCESS + off, True, "dependencies"),
        "run": run,
        "run, stock event log": lambda off: run(off, "stock"),
    }


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(work: Work, trick: Trick, runs: int) -> str:
    """A line with the medians; *work* has been done before, so that nothing is done first."""
    on, off = [], []
    for _ in range(runs):
        on.append(work(""))
        off.append(work(trick.off))
    (cpu, wall), (cpu_off, wall_off) = (
        [statistics.median(figures) for figures in zip(*several, strict=True)]
        for several in (on, off)
    )
    return (
        f"{trick.name:44}{trick.work:22}{cpu:8.2f} s{cpu_off:8.2f} s{cpu_off / cpu - 1:+8.1%}"
        f"{wall:8.2f} s{wall_off:8.2f} s{wall_off / wall - 1:+8.1%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", help="default: all tricks")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="20 models, once")
    options = parser.parse_args()
    if unknown := set(options.names) - {trick.name for trick in TRICKS}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}")
    models, runs = (20, 1) if options.quick else (options.models, options.runs)
    compile_bytecode()
    with tempfile.TemporaryDirectory() as folder:
        work = works(Path(folder), models)
        if options.quick:  # what all tricks are compared with is done once
            work = {kind: functools.cache(it) for kind, it in work.items()}
        print(f"{models} models, median of {runs}")
        print(f"{'':44}{'':22}{'CPU':>10}{'without':>10}{'':8}{'seconds':>10}{'without':>10}")
        for trick in TRICKS:
            if not options.names or trick.name in options.names:
                work[trick.work]("")
                print(measure(work[trick.work], trick, runs), flush=True)


if __name__ == "__main__":
    main()
