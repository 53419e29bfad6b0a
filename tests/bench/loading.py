"""Loading of seeded synthetic projects: cold, warm, and with one changed file; beside dbt parse.
And ``dagster definitions validate`` of them, beside as many stock assets.

    python tests/bench/loading.py [--models 100 1000 5000 10000] [--runs 3] [--dbt PATH]
                                  [--sqlmesh PATH]

Each figure is a process of its own that loads the project as ``load_project`` does. "reading" is
what of that comes before the first asset is made. "Dagster's own" builds as many assets without a
project around them and is what remains of a load that costs nothing; "beyond" is the load minus
that. Two loads are cold, with nothing known: "cold" finds out dependencies and code versions, as
dbt parse does, "cold, lineage" the columns and their lineage too, as the others do and as
``load_project`` does. "lineage anew" has lost its columns and knows its texts. dbt and SQLMesh are
whole commands, measured where found; SQLMesh reads its own form of the same models.
Contenders take turns. CPU seconds are those of all processes: on a machine that others use too,
they say more than the clock. Bytecode is compiled first; models have CTEs, joins and 30 columns.
The goals are for 5,000 models on two idle cores, and for 10,000 beside 5,000; the ratios hold on a
machine that others use, too, and are those of CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import synthetic
from commands import compile_bytecode
from dagster_models.project.loading.sql_reader import PARSED_FILE, TRACES_FILE
from figures import Goal, show

#: What a process is asked for: seconds and CPU seconds of the load (imports apart), peak MiB, and
#: seconds of reading.
LOAD = """
import json, os, resource, sys, time
import dagster
import dagster_models.definitions.build as definitions
from dagster_models.util.gc_tuning import a_load
def cpu():
    return sum(os.times()[:4])
began, cpu_began = time.perf_counter(), cpu()
with a_load():
    project = definitions.load_files(sys.argv[1], columns=sys.argv[2] == "lineage")
    read = time.perf_counter() - began
    target = definitions.usable_target(project)
    defs, problems = definitions.build(project, target)
seconds, cpu_seconds = time.perf_counter() - began, cpu() - cpu_began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
assert len(list(defs.assets)) > len(project.steps) and not problems
assert any(s.trace.columns for s in project.steps.values()) == (sys.argv[2] == "lineage")
print(json.dumps([seconds, cpu_seconds, peak, read]))
"""
#: As many assets of Dagster's own. *reads*: the models that each one reads.
MAKE_ASSETS = """
def make(name, deps):
    @multi_asset(name=name, specs=[AssetSpec(["main", name], deps=[["main", d] for d in deps],
                 code_version="1", group_name="main", metadata={"dagster/table_name": name})])
    def compute(context): ...
    return compute
assets = [make(name, [d for d in deps if d in reads]) for name, deps in reads.items()]
"""
DAGSTER = f"""
import json, os, resource, sys, time
from dagster import AssetSpec, Definitions, define_asset_job, multi_asset
import dagster_models.definitions.build
reads = json.load(sys.stdin)
began, cpu_began = time.perf_counter(), time.process_time()
{MAKE_ASSETS}
Definitions(assets=assets)
seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, cpu_seconds, peak]))
"""
OWN, DBT = "Dagster's own", "dbt parse"
#: definitions.py of the same assets.
STOCK_ASSETS = f"""
import json
from pathlib import Path
from dagster import AssetSpec, Definitions, define_asset_job, multi_asset
reads = json.loads(Path(__file__).with_name("reads.json").read_text())
{MAKE_ASSETS}
defs = Definitions(assets=assets)
"""
VALIDATE, CHANGED, STOCK = "validate", "validate, one changed", "validate, stock assets"
#: Seconds of a load of so many models, minus those of Dagster's own.
GOALS_FOR = 5000
GOALS = {"cold": Goal(2.5, "s"), "cold, lineage": Goal(8, "s"), "warm": Goal(1, "s")}
VALIDATE_GOAL = Goal(1.1, "times")
#: What twice as many models take in proportion: 1 is linear.
LINEAR = Goal(1.1, "times")


@dataclass(frozen=True)
class Figure:
    """``peak``: MiB of the loading process; ``reading``: seconds; 0: not measured."""

    seconds: float
    cpu: float
    peak: float = 0.0
    reading: float = 0.0


def measured(program: str, *arguments: str, stdin: str = "") -> Figure:
    """What a process says of itself."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return Figure(*json.loads(done.stdout.splitlines()[-1]))


def whole(command: list[str], cwd: Path) -> Figure:
    env = {**os.environ, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    env["SQLMESH__DISABLE_ANONYMIZED_ANALYTICS"] = "true"
    with tempfile.TemporaryDirectory() as home:  # Dagster's, so that no instance of the user's is
        env["DAGSTER_HOME"] = home
        (Path(home) / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False
        )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(seconds, cpu)


def ours(project: synthetic.Synthetic, root: Path) -> dict[str, Callable[[], Figure]]:
    synthetic.write_ours(project, root)
    changed = root / "models" / "layer_0" / "m00000.sql"

    def without(*files: str, what: str = "lineage") -> Figure:
        for file in files:
            (root / "target" / file).unlink(missing_ok=True)
        return measured(LOAD, str(root), what)

    def one_changed() -> Figure:
        changed.write_text(changed.read_text() + "-- again\n")
        return without()

    return {
        "cold": lambda: without(PARSED_FILE, TRACES_FILE, what="dependencies"),
        "cold, lineage": lambda: without(PARSED_FILE, TRACES_FILE),
        "warm": without,
        "lineage anew": lambda: without(TRACES_FILE),
        "one file changed": one_changed,
        OWN: lambda: measured(DAGSTER, stdin=json.dumps(project.reads)),
    }


def validations(
    project: synthetic.Synthetic, root: Path, stock: Path
) -> dict[str, Callable[[], Figure]]:
    """``dagster definitions validate`` of the project in *root*, and of stock assets in *stock*."""
    stock.mkdir()
    (stock / "reads.json").write_text(json.dumps(project.reads))
    (stock / "definitions.py").write_text(STOCK_ASSETS)
    changed = root / "models" / "layer_0" / "m00000.sql"
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-f", "definitions.py"]

    def one_changed() -> Figure:
        changed.write_text(changed.read_text() + "-- again\n")
        return whole(command, root)

    return {
        VALIDATE: lambda: whole(command, root),
        CHANGED: one_changed,
        STOCK: lambda: whole(command, stock),
    }


def theirs(
    project: synthetic.Synthetic, folder: Path, dbt: str | None, sqlmesh: str | None
) -> dict[str, Callable[[], Figure]]:
    found: dict[str, Callable[[], Figure]] = {}
    if dbt:
        of_dbt = folder / "dbt"
        synthetic.write_dbt(project, of_dbt)
        parse = [dbt, "parse", "--profiles-dir", "."]
        found[DBT] = lambda: whole([*parse, "--no-partial-parse"], of_dbt)
        found["dbt parse, partial"] = lambda: whole(parse, of_dbt)
    if sqlmesh:
        of_sqlmesh = folder / "sqlmesh"
        synthetic.write_sqlmesh(project, of_sqlmesh)
        info = [sqlmesh, "--paths", str(of_sqlmesh), "info", "--skip-connection"]

        def anew() -> Figure:
            shutil.rmtree(of_sqlmesh / ".cache", ignore_errors=True)
            return whole(info, of_sqlmesh)

        found["sqlmesh info"] = anew
        found["sqlmesh info, cached"] = lambda: whole(info, of_sqlmesh)
    return found


def bench(
    models: int, runs: int, dbt: str | None, sqlmesh: str | None, folder: Path
) -> dict[str, Figure]:
    project = synthetic.make(models)
    contenders = ours(project, folder / "ours")
    contenders |= validations(project, folder / "ours", folder / "stock")
    contenders |= theirs(project, folder, dbt, sqlmesh)
    found: dict[str, list[Figure]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            found[name].append(run())
    medians = {name: median(figures) for name, figures in found.items()}
    tell(models, medians, runs)
    goals = models == GOALS_FOR
    for name, goal in GOALS.items():
        beyond = medians[name].seconds - medians[OWN].seconds
        show(f"{name}: beyond Dagster's own", beyond, goal if goals else None, "s")
    for name in (VALIDATE, CHANGED):
        pairs = zip(found[name], found[STOCK], strict=True)
        ratio = statistics.median(one.cpu / stock.cpu for one, stock in pairs)
        what = f"{name}: CPU seconds beside stock assets"
        show(what, ratio, VALIDATE_GOAL if goals else None, "times")
    return medians


def tell_of_growth(found: dict[int, dict[str, Figure]]) -> None:
    """What the largest project takes beside the one half as large, in proportion."""
    largest = max(found)
    half = found.get(largest // 2)
    for name in GOALS if half is not None else ():
        large, small = (
            (of[name].cpu - of[OWN].cpu) / models
            for models, of in ((largest, found[largest]), (largest // 2, found[largest // 2]))
        )
        what = f"{name}, beyond Dagster's own: CPU seconds a model, {largest} beside {largest // 2}"
        show(what, large / small, LINEAR)


def median(figures: list[Figure]) -> Figure:
    return Figure(
        statistics.median(f.seconds for f in figures),
        statistics.median(f.cpu for f in figures),
        statistics.median(f.peak for f in figures),
        statistics.median(f.reading for f in figures),
    )


def tell(models: int, figures: dict[str, Figure], runs: int) -> None:
    """``beyond``: minus Dagster's own; ``/ dbt``: of that, by the clock and in CPU seconds."""
    own, dbt = figures[OWN], figures.get(DBT)
    print(f"\n{models} models, median of {runs}")
    titles = ("load", "CPU", "reading", "beyond", "CPU", "/ dbt", "CPU", "MiB")
    print(" " * 24 + "".join(f"{title:>10}" for title in titles))
    for name, figure in figures.items():
        line = f"{name:24}{figure.seconds:8.2f} s{figure.cpu:8.2f} s"
        if figure.reading:
            beyond, cpu = figure.seconds - own.seconds, figure.cpu - own.cpu
            line += f"{figure.reading:8.2f} s{beyond:8.2f} s{cpu:8.2f} s"
            if dbt:
                line += f"{beyond / dbt.seconds:10.2f}{cpu / dbt.cpu:10.2f}"
            else:
                line += f"{'-':>10}{'-':>10}"
            line += f"{figure.peak:10.0f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 5000, 10000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dbt", default=shutil.which("dbt"))
    parser.add_argument("--sqlmesh", default=shutil.which("sqlmesh"))
    parser.add_argument("--quick", action="store_true", help="ours alone, 20 models, once")
    options = parser.parse_args()
    compile_bytecode()
    if options.quick:
        options.models, options.runs, options.dbt, options.sqlmesh = [20], 1, None, None
    found = {}
    for models in options.models:
        with tempfile.TemporaryDirectory() as folder:
            known = bench(models, options.runs, options.dbt, options.sqlmesh, Path(folder))
            found[models] = known
    tell_of_growth(found)


if __name__ == "__main__":
    main()
