"""Whole commands: projects of no-op models for ours, for Dagster's own executors and for dbt."""

from __future__ import annotations

import argparse
import compileall
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeAlias

import dagster_models

Graph: TypeAlias = Mapping[str, Sequence[str]]

#: dagster.yaml of the two event log storages.
STORAGES = {
    "stock": "telemetry: {enabled: false}\n",
    "pooled": "telemetry: {enabled: false}\n"
    "event_log_storage: {module: dagster_models.storage, class: PooledSqliteEventLogStorage}\n",
}
#: As the Makefile sets it; the stock storage does nothing with it.
BATCHES = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}

OUR_DUCKDB = "{type: duckdb, path: target/bench.duckdb}"
DBTS_DUCKDB = "{type: duckdb, path: bench.duckdb}"

STOCK_EXECUTOR = """
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


def compile_bytecode() -> None:
    """That of the package, so that no process that is measured does it."""
    compileall.compile_dir(str(Path(dagster_models.__file__).parent), quiet=2)


def asked_for(doc: str | None, quick: int) -> tuple[int, int]:
    """How many models and how often, by the command line. *doc*: of the program; *quick*: the
    models of ``--quick``."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0] if doc else None)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help=f"{quick} models, once")
    options = parser.parse_args()
    return (quick, 1) if options.quick else (options.models, options.runs)


def graph_of(models: int, layers: int = 10) -> dict[str, list[str]]:
    """Each model reads two of the layer above."""
    width = max(1, models // layers)
    graph: dict[str, list[str]] = {}
    for index in range(models):
        layer, place = divmod(index, width)
        upstream = {(layer - 1) * width + place, (layer - 1) * width + (place + 1) % width}
        graph[f"m{index}"] = [f"m{i}" for i in sorted(upstream)] if layer else []
    return graph


def query(deps: Sequence[str], name: Callable[[str], str]) -> str:
    if not deps:
        return "select 1 as id"
    return "\nunion all\n".join(f"select id from {name(dep)} where id < 0" for dep in deps)


def write_ours(root: Path, texts: Mapping[str, str], target: str = OUR_DUCKDB) -> Path:
    """A project of SQL models, named ``bench``; *texts*: the SQL of each. *target*: YAML."""
    models = root / "models" / "bench"
    models.mkdir(parents=True)
    (root / "dagster_models.yaml").write_text(
        f"name: bench\ntargets: {{dev: {target}}}\nmodels: {{materialized: table}}\n"
    )
    for name, text in texts.items():
        (models / f"{name}.sql").write_text(text)
    (root / "definitions.py").write_text(
        "from pathlib import Path\nfrom dagster_models import load_project\n"
        "defs = load_project(Path(__file__).parent)\n"
    )
    return root


def write_dbt(root: Path, graph: Graph, output: str = DBTS_DUCKDB) -> Path:
    """The same for dbt; *output*: YAML of its profile."""
    (root / "models").mkdir(parents=True)
    (root / "dbt_project.yml").write_text(
        "name: bench\nversion: '1.0.0'\nprofile: bench\nmodel-paths: [models]\n"
        "models: {+materialized: table}\nflags: {send_anonymous_usage_stats: false}\n"
    )
    (root / "profiles.yml").write_text(f"bench:\n  target: dev\n  outputs:\n    dev: {output}\n")
    for name, deps in graph.items():
        text = query(deps, lambda dep: "{{ ref('" + dep + "') }}")
        (root / "models" / f"{name}.sql").write_text(text)
    return root


def write_sqlmesh(root: Path, graph: Graph, threads: int) -> Path:
    """The same for SQLMesh: models that are built in full."""
    (root / "models").mkdir(parents=True)
    (root / "config.yaml").write_text(
        "gateways: {local: {connection: {type: duckdb, database: bench.duckdb, "
        f"concurrent_tasks: {threads}}}}}}}\ndefault_gateway: local\n"
        "model_defaults: {dialect: duckdb}\ndisable_anonymized_analytics: true\n"
    )
    for name, deps in graph.items():
        text = query(deps, lambda dep: f"bench.{dep}")
        head = f"MODEL (name bench.{name}, kind FULL);\n\n"
        (root / "models" / f"{name}.sql").write_text(head + text)
    return root


def write_yato(root: Path, graph: Graph) -> Path:
    """The same for yato, which takes no UNION at the top of a text."""
    root.mkdir(parents=True)
    for name, deps in graph.items():
        text = query(deps, lambda dep: dep)
        (root / f"{name}.sql").write_text(f"select id from (\n{text}\n) as unioned")
    return root


def write_stock(root: Path, graph: Graph) -> Path:
    root.mkdir(parents=True)
    (root / "definitions.py").write_text(STOCK_EXECUTOR.format(graph=dict(graph)))
    return root


@dataclass(frozen=True)
class Ran:
    """``wall``: seconds of the command. ``events``: (type, step key, epoch seconds) of the run."""

    wall: float
    events: Sequence[tuple[str, str, float]] = ()

    @property
    def step_seconds(self) -> float | None:
        """From the first STEP_START to the last STEP_SUCCESS; None: it is no run of Dagster's."""
        times = [at for kind, _, at in self.events if kind in ("STEP_START", "STEP_SUCCESS")]
        return max(times) - min(times) if times else None


@dataclass(frozen=True)
class Command:
    name: str
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    storage: str = "stock"

    @contextmanager
    def started(self) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """The process, and its own Dagster home; it is awaited."""
        with tempfile.TemporaryDirectory() as home:
            Path(home, "dagster.yaml").write_text(STORAGES[self.storage])
            env = {**os.environ, **BATCHES, **self.env, "DAGSTER_HOME": home, "DO_NOT_TRACK": "1"}
            process = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            with process:
                yield process, Path(home)

    def run(self) -> Ran:
        began = time.perf_counter()
        with self.started() as (process, home):
            told, _ = process.communicate()
            wall = time.perf_counter() - began
            if process.returncode != 0:
                sys.exit(f"{self.name} failed:\n{told[-5000:]}")
            return Ran(wall, events_of(home))


def dagster(name: str, cwd: Path, slots: int | None = None, **more: object) -> Command:
    """``dagster job execute`` of the job ``bench`` in *cwd*."""
    argv = [str(Path(sys.executable).parent / "dagster"), "job", "execute"]
    argv += ["-f", "definitions.py", "-j", "bench"]
    if slots is not None:
        config = cwd / f"slots{slots}.yaml"
        config.write_text(f"execution: {{config: {{max_concurrent: {slots}}}}}\n")
        argv += ["--config", str(config)]
    return Command(name, argv, cwd, **more)  # type: ignore[arg-type]


def events_of(home: Path) -> list[tuple[str, str, float]]:
    """The step events of the only run in a Dagster home, in the order they were stored."""
    for file in (home / "history" / "runs").glob("*-*.db"):
        with sqlite3.connect(file) as db:
            rows = db.execute(
                "select dagster_event_type, step_key, timestamp from event_logs "
                "where step_key is not null and dagster_event_type is not null order by id"
            )
            return [(kind, step, epoch(at)) for kind, step, at in rows]
    return []


def epoch(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).replace(tzinfo=timezone.utc).timestamp()
