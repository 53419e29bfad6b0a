"""Overhead of a run: no-op models in layers, ours beside Dagster's executors and dbt.

    python tests/bench/overhead.py [--models 100] [--layers 10] [--runs 3] [--dbt PATH]

Each line is a whole command (``dagster job execute`` or ``dbt run``), from start to end, run
in turn so that a drift of the machine's speed hits all of them, and the median is told. "Per step"
is the wall time from the first STEP_START to the last STEP_SUCCESS in Dagster's event log, divided
by the number of steps: what the executor costs, without imports and loading.

dbt is measured if ``dbt`` with dbt-duckdb is found (``--dbt``). Bytecode is compiled first.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dagster_models

STOCK = """
from dagster import Definitions, asset, define_asset_job, in_process_executor, multiprocess_executor
import os
def make(name, deps):
    @asset(name=name, deps=deps, code_version="1")
    def compute(): ...
    return compute
assets = [make(name, deps) for name, deps in {graph!r}.items()]
executors = dict(in_process=in_process_executor, multiprocess=multiprocess_executor)
executor = executors[os.environ["EXECUTOR"]]
defs = Definitions(assets=assets, jobs=[define_asset_job("bench")], executor=executor)
"""


POOLED = """telemetry: {enabled: false}
event_log_storage: {module: dagster_models.storage, class: PooledSqliteEventLogStorage}
"""


def graph_of(models: int, layers: int) -> dict[str, list[str]]:
    """Each model reads two of the layer above."""
    width = max(1, models // layers)
    graph: dict[str, list[str]] = {}
    for index in range(models):
        layer, place = divmod(index, width)
        upstream = {(layer - 1) * width + place, (layer - 1) * width + (place + 1) % width}
        graph[f"m{index}"] = [f"m{i}" for i in sorted(upstream)] if layer else []
    return graph


def write_ours(root: Path, graph: dict[str, list[str]]) -> None:
    models = root / "models" / "bench"
    models.mkdir(parents=True)
    (root / "dagster_models.yaml").write_text(
        "name: bench\ntargets: {dev: {type: duckdb, path: target/bench.duckdb}}\n"
        "models: {materialized: table}\n"
    )
    for name, deps in graph.items():
        (models / f"{name}.sql").write_text(query(deps, lambda dep: dep))
    (root / "definitions.py").write_text(
        "from pathlib import Path\nfrom dagster_models import load_project\n"
        "defs = load_project(Path(__file__).parent)\n"
    )


def write_dbt(root: Path, graph: dict[str, list[str]]) -> None:
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0.0'\nprofile: bench\nmodel-paths: [models]\n"
        "models: {+materialized: table}\nflags: {send_anonymous_usage_stats: false}\n"
    )
    (root / "profiles.yml").write_text(
        "bench:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: bench.duckdb}\n"
    )
    for name, deps in graph.items():
        text = query(deps, lambda dep: "{{ ref('" + dep + "') }}")
        (root / "models" / f"{name}.sql").write_text(text)


def query(deps: list[str], name: Callable[[str], str]) -> str:
    if not deps:
        return "select 1 as id"
    return "\nunion all\n".join(f"select id from {name(dep)} where id < 0" for dep in deps)


@dataclass
class Contender:
    name: str
    command: list[str]
    cwd: Path
    env: dict[str, str] = field(default_factory=dict)
    instance: str = "telemetry: {enabled: false}\n"  # dagster.yaml
    walls: list[float] = field(default_factory=list)
    per_step: list[float] = field(default_factory=list)

    def run(self, steps: int) -> None:
        with tempfile.TemporaryDirectory() as home:
            Path(home, "dagster.yaml").write_text(self.instance)
            env = {**os.environ, **self.env, "DAGSTER_HOME": home, "DO_NOT_TRACK": "1"}
            began = time.perf_counter()
            done = subprocess.run(
                self.command, cwd=self.cwd, env=env, capture_output=True, text=True, check=False
            )
            wall = time.perf_counter() - began
            if done.returncode != 0:
                sys.exit(f"{self.name} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
            self.walls.append(wall)
            seconds = seconds_of_steps(Path(home))
            if seconds is not None:
                self.per_step.append(1000 * seconds / steps)


def seconds_of_steps(home: Path) -> float | None:
    """From the first STEP_START to the last step event of the only run in a Dagster home."""
    for file in (home / "history" / "runs").glob("*-*.db"):
        with sqlite3.connect(file) as db:
            (seconds,) = db.execute(
                "select (julianday(max(timestamp)) - julianday(min(timestamp))) * 86400 "
                "from event_logs where step_key is not null "
                "and dagster_event_type in ('STEP_START', 'STEP_SUCCESS')"
            ).fetchone()
            return float(seconds)
    return None


def contenders(folder: Path, graph: dict[str, list[str]], dbt: str | None) -> list[Contender]:
    ours, stock, theirs = folder / "ours", folder / "stock", folder / "dbt"
    write_ours(ours, graph)
    stock.mkdir()
    (stock / "definitions.py").write_text(STOCK.format(graph=graph))
    dagster = [str(Path(sys.executable).parent / "dagster"), "job", "execute"]
    job = ["-f", "definitions.py", "-j", "bench"]
    found = []
    for slots in (2, 8):
        config = folder / f"slots{slots}.yaml"
        config.write_text(f"execution: {{config: {{max_concurrent: {slots}}}}}\n")
        command = [*dagster, *job, "--config", str(config)]
        found.append(Contender(f"dagster-models, {slots} slots", command, ours))
        pooled = Contender("  with the pooled event log", command, ours, instance=POOLED)
        found.append(pooled)
        if dbt:
            write_dbt(theirs / str(slots), graph)
            command = [dbt, "run", "--threads", str(slots), "--profiles-dir", "."]
            found.append(Contender(f"dbt run --threads {slots}", command, theirs / str(slots)))
    for executor in ("in_process", "multiprocess"):
        env = {"EXECUTOR": executor}
        found.append(Contender(f"Dagster {executor}", [*dagster, *job], stock, env))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--layers", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dbt", default=shutil.which("dbt"))
    parser.add_argument("--skip-multiprocess", action="store_true", help="it takes a second a step")
    options = parser.parse_args()
    compileall.compile_dir(str(Path(dagster_models.__file__).parent), quiet=2)
    graph = graph_of(options.models, options.layers)
    with tempfile.TemporaryDirectory() as folder:
        found = contenders(Path(folder), graph, options.dbt)
        if options.skip_multiprocess:
            found = [c for c in found if "multiprocess" not in c.name]
        for number in range(options.runs):
            for contender in found:
                if "multiprocess" in contender.name and number:
                    continue  # its figure is far away: once is enough
                contender.run(options.models)
    base = next(c for c in found if "in_process" in c.name)
    print(f"{options.models} no-op models in {options.layers} layers, median of {options.runs}")
    print(f"{'':32}{'whole command':>16}{'per step':>14}{'per step / in-process':>24}")
    for c in found:
        line = f"{c.name:32}{statistics.median(c.walls):14.2f} s"
        if c.per_step:
            step = statistics.median(c.per_step)
            ratio = step / statistics.median(base.per_step)
            line += f"{step:11.1f} ms{ratio:24.2f}"
        print(line)


if __name__ == "__main__":
    main()
