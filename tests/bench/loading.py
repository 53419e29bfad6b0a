"""Loading of seeded synthetic projects: cold, warm, and with one changed file; beside dbt parse.

    python tests/bench/loading.py [--models 100 1000 5000] [--runs 3] [--dbt PATH] [--sqlmesh PATH]

Each figure is a process of its own that loads the project as Dagster does. "Dagster's own" builds
as many assets without a project around them and is what remains of a load that costs nothing;
"beyond" is the load minus that. dbt and SQLMesh are measured where found. Bytecode is compiled
first; models have CTEs, joins and 30 columns.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import synthetic

import dagster_models
from dagster_models.loading import CACHE_FILE

#: What a process is asked for: seconds of the load (imports apart) and its peak memory in MiB.
LOAD = """
import json, resource, sys, time
import dagster
from dagster_models import load_project
import dagster_models.definitions
began = time.perf_counter()
defs = load_project(sys.argv[1])
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([seconds, peak, len(list(defs.assets))]))
"""
DAGSTER = """
import json, resource, sys, time
from dagster import AssetSpec, Definitions, define_asset_job, multi_asset
import dagster_models.definitions
reads = json.load(sys.stdin)
began = time.perf_counter()
def make(name, deps):
    @multi_asset(name=name, specs=[AssetSpec(["main", name], deps=[["main", d] for d in deps],
                 code_version="1", group_name="main", metadata={"dagster/table_name": name})])
    def compute(context): ...
    return compute
assets = [make(name, [d for d in deps if d in reads]) for name, deps in reads.items()]
Definitions(assets=assets)
seconds = time.perf_counter() - began
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(assets)]))
"""


def measured(program: str, root: Path, stdin: str = "") -> tuple[float, float]:
    """(seconds, peak MiB) that a process says of itself."""
    command = [sys.executable, "-c", program, str(root)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    seconds, peak, _ = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def whole(command: list[str], cwd: Path) -> float:
    env = {**os.environ, "DO_NOT_TRACK": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    began = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def bench(models: int, runs: int, dbt: str | None, sqlmesh: str | None, folder: Path) -> None:
    project = synthetic.make(models)
    ours, theirs = folder / f"ours{models}", folder / f"dbt{models}"
    synthetic.write_ours(project, ours)
    changed = ours / "models" / "layer_0" / "m00000.sql"

    def cold() -> tuple[float, float]:
        (ours / CACHE_FILE).unlink(missing_ok=True)
        return measured(LOAD, ours)

    def one_changed() -> tuple[float, float]:
        changed.write_text(changed.read_text() + "-- again\n")
        return measured(LOAD, ours)

    contenders: dict[str, Callable[[], tuple[float, float]]] = {
        "cold": cold,
        "warm": lambda: measured(LOAD, ours),
        "one file changed": one_changed,
        "Dagster's own": lambda: measured(DAGSTER, ours, json.dumps(project.reads)),
    }
    if dbt:
        synthetic.write_dbt(project, theirs)
        parse = [dbt, "parse", "--no-partial-parse", "--profiles-dir", "."]
        contenders["dbt parse (whole command)"] = lambda: (whole(parse, theirs), 0.0)
    if sqlmesh and dbt:
        # SQLMesh reads dbt's project; its own cache is removed, as ours is.
        def load() -> tuple[float, float]:
            shutil.rmtree(theirs / ".cache", ignore_errors=True)
            return whole(
                [sqlmesh, "--paths", str(theirs), "info", "--skip-connection"], theirs
            ), 0.0

        contenders["sqlmesh info (whole command)"] = load
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, run in contenders.items():
            found[name].append(run())
    own = statistics.median(s for s, _ in found["Dagster's own"])
    print(f"\n{models} models, median of {runs}")
    print(f"{'':32}{'load':>10}{'beyond':>10}{'per model':>12}{'peak MiB':>10}")
    for name, figures in found.items():
        seconds = statistics.median(s for s, _ in figures)
        peak = statistics.median(p for _, p in figures)
        beyond = f"{seconds - own:8.2f} s{1000 * (seconds - own) / models:9.2f} ms"
        memory = f"{peak:10.0f}" if peak else ""
        print(f"{name:32}{seconds:8.2f} s{beyond if peak else ' ' * 21}{memory}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dbt", default=shutil.which("dbt"))
    parser.add_argument("--sqlmesh", default=shutil.which("sqlmesh"))
    options = parser.parse_args()
    compileall.compile_dir(str(Path(dagster_models.__file__).parent), quiet=2)
    with tempfile.TemporaryDirectory() as folder:
        for models in options.models:
            bench(models, options.runs, options.dbt, options.sqlmesh, Path(folder))


if __name__ == "__main__":
    main()
