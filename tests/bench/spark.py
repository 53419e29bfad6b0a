"""What Spark costs: the overhead of a step on Sail beside DuckDB, and how wide a run on it is.

    python tests/bench/spark.py [overhead slots] [--models 50]

Starts a Sail server of its own. "overhead": no-op models in layers, the steps of a run beside those
of the same run on DuckDB, in turn. "slots": models that compute for a second or so, with 1, 2, 4
and 8 slots. Ratios tell, seconds do not.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import dagster_models
from sail_server import SailServer, start_sail

PROGRAM = str(Path(sys.executable).with_name("dagster-models"))
SETTINGS = Path(dagster_models.__file__).parent / "cli" / "dagster.yaml"
LAYERS = 5
#: On one thread of the server it takes about as long as its number says, in tenths of a second.
WORK = "select sum(crc32(cast(id as string))) as n from range(0, {rows}, 1, 1)"
TASKS = 8


def write(
    root: Path, server: SailServer, models: dict[str, str], dialect: str, threads: int = 8
) -> None:
    (root / "models" / "m").mkdir(parents=True, exist_ok=True)
    (root / "dagster_models.yaml").write_text(
        f"name: bench\ndialect: {dialect}\ntarget: spark\ntargets:\n"
        f"  spark: {{type: spark, host: 127.0.0.1, port: {server.port}, location: target/tables,"
        f" threads: {threads}}}\n"
        f"  duckdb: {{type: duckdb, path: target/bench.duckdb, threads: {threads}}}\n"
        "models: {m: {materialized: table}}\n"
    )
    (root / "definitions.py").write_text(
        "from pathlib import Path\nfrom dagster_models import load_project\n"
        "defs = load_project(Path(__file__).parent)\n"
    )
    for name, sql in models.items():
        (root / "models" / "m" / f"{name}.sql").write_text(sql)


def seconds(root: Path, target: str) -> tuple[float, float]:
    """The time of a whole command, and of the steps alone."""
    home = root / "home"
    home.mkdir(exist_ok=True)
    shutil.copy(SETTINGS, home)
    env = {**os.environ, "DAGSTER_MODELS_TARGET": target, "DAGSTER_HOME": str(home)}
    began = time.perf_counter()
    done = subprocess.run(
        [PROGRAM, "run", "--project", str(root)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = re.search(r"Finished \d+ steps? in ([\d.]+)s", done.stdout)
    assert found, done.stdout[-2000:]
    return took, float(found[1])


def overhead(server: SailServer, count: int) -> None:
    models = {}
    for n in range(count):
        above = f"m.m{n - count // LAYERS}" if n >= count // LAYERS else ""
        models[f"m{n}"] = f"select n from {above}" if above else f"select {n} as n"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, server, models, "duckdb")
        found: dict[str, list[float]] = {"spark": [], "duckdb": []}
        for round_ in range(4):
            for target, times in found.items():
                took = seconds(root, target)[1]
                if round_:  # the first one makes the tables
                    times.append(took)
    spark, duckdb = (statistics.median(found[it]) / count * 1000 for it in ("spark", "duckdb"))
    print(f"{count} no-op models: {spark:.1f} ms a step on Sail, {duckdb:.1f} on DuckDB,", end=" ")
    print(f"{spark / duckdb:.1f} times")


def slots(server: SailServer, rows: int) -> None:
    alone = 0.0
    for threads in (1, 2, 4, 8):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            models = {f"w{n}": WORK.format(rows=rows + n) for n in range(TASKS)}
            write(root, server, models, "spark", threads)
            took = min(seconds(root, "spark")[1] for _ in range(2))
        alone = alone or took
        print(f"{TASKS} models, {threads} slots: {took:6.2f} s, {alone / took:.2f} times as fast")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", default=["overhead", "slots"])
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rows", type=int, default=10_000_000)
    given = parser.parse_args()
    server = start_sail()
    try:
        if "overhead" in given.what:
            overhead(server, given.models)
        if "slots" in given.what:
            slots(server, given.rows)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
