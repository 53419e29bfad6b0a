"""What lakes cost: the overhead of a step beside DuckDB, and how wide a run on Sail is.

    python tests/bench/spark.py [overhead slots stopping] [--models 50] [--rounds 3]

Starts a Sail server of its own. "overhead": no-op models in layers, the steps of a run on Sail with
Delta and with Iceberg and on DuckLake beside those of the same run on DuckDB, and beside a plain
client of the same engine, in turns. "slots": models that compute for a second or so, with 1, 2, 4
and 8 slots, beside a plain client of Spark. A plain client sends one CREATE TABLE for each model,
from as many threads, and proves nothing: what it takes is the engine's doing. "stopping": seven
statements that would take hours, and one that fails under fail_fast; when the last one is gone, the
CPU time of the process that computes says. Ratios tell, seconds do not. The goals are what a later
version must not lose.
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

import duckdb

import dagster_models
from dagster_models.warehouses.ducklake.attach import attach
from dagster_models.warehouses.spark.server import Server
from figures import Goal, show
from sail_server import SailServer, start_sail

PROGRAM = str(Path(sys.executable).with_name("dagster-models"))
SETTINGS = Path(dagster_models.__file__).parent / "cli" / "dagster.yaml"
LAYERS = 5
#: On one thread of the server it takes about as long as its number says, in tenths of a second.
WORK = "select sum(crc32(cast(id as string))) as n from range(0, {rows}, 1, 1)"
TASKS = 8
WIDTHS = (1, 2, 4, 8)
#: Beside a plain client of the engine.
GOALS = {
    "spark": Goal(4, "times"),
    "iceberg": Goal(8, "times"),
    "ducklake": Goal(2, "times"),
}
GONE = Goal(1, "s")
WIDTH = Goal(1.3, "times")


def write(
    root: Path, server: SailServer, models: dict[str, str], dialect: str, threads: int = 8
) -> None:
    (root / "models" / "m").mkdir(parents=True, exist_ok=True)
    (root / "target").mkdir(exist_ok=True)
    (root / "dagster_models.yaml").write_text(
        f"name: bench\ndialect: {dialect}\ntarget: spark\ntargets:\n"
        f"  spark: {{type: spark, host: 127.0.0.1, port: {server.port}, location: target/tables,"
        f" threads: {threads}}}\n"
        f"  iceberg: {{type: spark, host: 127.0.0.1, port: {server.port}, format: iceberg,"
        f" location: target/iceberg, threads: {threads},"
        f" catalog: 'sqlite:///{root}/target/catalog.db'}}\n"
        f"  ducklake: {{type: ducklake, sqlite: target/lake.sqlite, data: target/lake,"
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


def environment(root: Path, target: str) -> dict[str, str]:
    home = root / "home"
    home.mkdir(exist_ok=True)
    shutil.copy(SETTINGS, home)
    return {**os.environ, "DAGSTER_MODELS_TARGET": target, "DAGSTER_HOME": str(home)}


def seconds(root: Path, target: str) -> tuple[float, float]:
    """The time of a whole command, and of the steps alone."""
    began = time.perf_counter()
    done = subprocess.run(
        [PROGRAM, "run", "--project", str(root)],
        env=environment(root, target),
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = re.search(r"Finished \d+ steps? in ([\d.]+)s", done.stdout)
    assert found, done.stdout[-2000:]
    return took, float(found[1])


def overhead(server: SailServer, count: int, rounds: int) -> None:
    models = {}
    layer = max(1, count // LAYERS)
    for n in range(count):
        above = f"m.m{n - layer}" if n >= layer else ""
        models[f"m{n}"] = f"select n from {above}" if above else f"select {n} as n"
    alone = {f"m{n}": f"select {n} as n" for n in range(count)}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(root, server, models, "duckdb")
        contenders: dict[str, Callable[[], float]] = {
            **{it: partial(steps_of, root, it) for it in ("duckdb", *GOALS)},
            "a plain client of Spark": lambda: by_a_client(server, new_in(root), alone, 8),
            "a plain client of DuckLake": lambda: by_a_client_of_ducklake(new_in(root), alone),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(1 + rounds):
            for name, times in found.items():
                took = contenders[name]()
                if round_:  # the first one makes the tables
                    times.append(took)
    each = {name: statistics.median(it) / count * 1000 for name, it in found.items()}
    print(f"{count} no-op models, the middle one of {rounds} runs")
    for name, took in each.items():
        show(f"a step on {name}" if name in (*GOALS, "duckdb") else name, took, unit="ms")
    for target, goal in GOALS.items():
        plain = each[f"a plain client of {'DuckLake' if target == 'ducklake' else 'Spark'}"]
        show(
            f"a step on {target} beside one on duckdb", each[target] / each["duckdb"], unit="times"
        )
        show(f"a step on {target} beside a plain client", each[target] / plain, goal)


def new_in(root: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="plain", dir=root))


def steps_of(root: Path, target: str) -> float:
    return seconds(root, target)[1]


def slots(server: SailServer, rows: int, widths: Sequence[int]) -> None:
    print(f"{TASKS} models that compute on Sail, the better one of two runs")
    first = 0.0
    for threads in widths:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            models = {f"w{n}": WORK.format(rows=rows + n) for n in range(TASKS)}
            write(root, server, models, "spark", threads)
            took, alone = float("inf"), float("inf")
            for turn in range(2):
                took = min(took, seconds(root, "spark")[1])
                alone = min(alone, by_a_client(server, root / f"plain{turn}", models, threads))
        first = first or took
        slots_ = f"{threads} slot{'s' if threads > 1 else ''}"
        show(slots_, took, unit="s")
        show(f"{slots_} beside 1 slot", took / first, unit="times")
        show(f"{slots_} beside a plain client with {threads} threads", took / alone, WIDTH)


def by_a_client(server: SailServer, folder: Path, models: dict[str, str], threads: int) -> float:
    """The seconds of the same statements, sent by a client that does nothing else."""
    client = Server({**server.settings, "user": folder.name, "location": str(folder)})

    def build(name: str) -> None:
        place = f"USING delta LOCATION '{folder}/{name}'"
        client.command(f"CREATE TABLE `{folder.name}_{name}` {place} AS {models[name]}")

    try:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(build, models))
        return time.perf_counter() - began
    finally:
        for name in models:
            client.command(f"DROP TABLE IF EXISTS `{folder.name}_{name}`")
        client.close()


def by_a_client_of_ducklake(folder: Path, models: dict[str, str]) -> float:
    """The same on a lake of its own, with one connection, as its SQLite file has one writer."""
    with duckdb.connect() as lake:
        attach(lake, {"sqlite": str(folder / "lake.sqlite"), "data": str(folder / "lake")})
        began = time.perf_counter()
        for name, sql in models.items():
            lake.execute(f"CREATE OR REPLACE TABLE {name} AS {sql}")
        return time.perf_counter() - began


def stopping(server: SailServer) -> None:
    hours = "select sum(crc32(cast(id as string))) as n from range(0, 1000000000000, 1, 1)"
    fails = "select cast(concat('no number', max(id)) as int) as n from range(0, 30000000, 1, 1)"
    models = {"fails": fails, **{f"w{n}": hours for n in range(TASKS - 1)}}
    print(f"{TASKS - 1} statements of hours on Sail, and one that fails")
    for target in ("spark", "iceberg"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write(root, server, models, "spark")
            gone, ended = after_a_failure(root, target, server.process.pid)
        show(f"{target}: from the failure to the last statement gone", gone, GONE)
        show(f"{target}: from the failure to the command's end", ended, unit="s")


def after_a_failure(root: Path, target: str, computing: int) -> tuple[float, float]:
    """Seconds from the line of the failure to the last moment in which the process *computing* did
    so, by a twentieth of a second, and to the end of the command."""
    arguments = [PROGRAM, "run", "--project", str(root), "--fail-fast"]
    with subprocess.Popen(
        arguments, env=environment(root, target), stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        said = ""
        while "ERROR" not in said:
            line = run.stdout.readline()
            assert line, said
            said += line
        failed = last = time.perf_counter()
        ended = 0.0
        assert said.count("START") == TASKS, said
        before = 0.0
        while not ended or time.perf_counter() - ended < 1:
            time.sleep(0.05)
            used = cpu_seconds(computing)
            if used - before > 0.02:  # two of its ticks: more than an idle server needs
                last = time.perf_counter()
            before = used
            if not ended and run.poll() is not None:
                ended = time.perf_counter()
        assert run.returncode != 0
    return last - failed, ended - failed


def cpu_seconds(pid: int) -> float:
    """By Linux's /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="*", default=["overhead", "slots", "stopping"])
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--quick", action="store_true", help="whether it runs at all")
    given = parser.parse_args()
    if given.quick:
        given.models, given.rounds, given.rows = 4, 1, 1000
    server = start_sail()
    try:
        if "overhead" in given.what:
            overhead(server, given.models, given.rounds)
        if "slots" in given.what:
            slots(server, given.rows, WIDTHS[:2] if given.quick else WIDTHS)
        if "stopping" in given.what:
            stopping(server)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
