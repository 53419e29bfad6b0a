"""Whole runs on PostgreSQL, ours beside ``dbt run`` with dbt-postgres: called by postgres.py."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg

from commands import Command, Graph, dagster, graph_of, query, write_dbt, write_ours
from figures import Goal, show

SLOTS = 8
LONG = 8
GONE = Goal(1, "s")
_LOCK = 4711

#: The bench holds the lock. Not 1 / 0, which the planner would work out before it waits.
_FAILS = f"select 1 / (case when pg_advisory_lock({_LOCK}) is null then 1 else 0 end) as n"
_MINUTE = "select pg_sleep(60)::text as a_minute"


def _env(dsn: str) -> dict[str, str]:
    return {"BENCH_DSN": dsn, "BENCH_PASSWORD": unquote(urlsplit(dsn).password or "")}


def ours(folder: Path, dsn: str, texts: Mapping[str, str], slots: int) -> Command:
    target = "{type: postgres, dsn: '${BENCH_DSN}', schema_prefix: ours_}"
    root = folder / f"ours{slots}"
    if not root.exists():
        write_ours(root, texts, target)
    return dagster("dagster-models", root, slots, env=_env(dsn), storage="pooled")


def theirs(
    folder: Path, dsn: str, dbt: str, slots: int, graph: Graph, texts: Mapping[str, str], *more: str
) -> Command:
    """``texts``: of models that read no other one."""
    url = urlsplit(dsn)
    output = (
        f"{{type: postgres, host: {url.hostname}, port: {url.port}, user: {url.username},"
        " password: \"{{ env_var('BENCH_PASSWORD') }}\","
        f" dbname: {url.path[1:]}, schema: dbts}}"
    )
    root = folder / f"dbt{slots}"
    if not root.exists():
        write_dbt(root, graph, output)
        for name, text in texts.items():
            (root / "models" / f"{name}.sql").write_text(text)
    argv = [dbt, "run", "--threads", str(slots), "--profiles-dir", ".", *more]
    return Command("dbt run", argv, root, env=_env(dsn))


def overhead(dsn: str, dbt: str | None, quick: bool) -> None:
    """No-op models in ten layers; each command in turn, the medians are told."""
    print(f"{'models':>8}{'':18}{'command':>12}{'/ dbt':>8}{'per step':>12}")
    for models, runs in [(3, 1)] if quick else [(100, 3), (1000, 2)]:
        with tempfile.TemporaryDirectory() as folder:
            graph = graph_of(models)
            texts = {name: query(deps, lambda dep: dep) for name, deps in graph.items()}
            found = [ours(Path(folder), dsn, texts, SLOTS)]
            if dbt and not quick:
                found.append(theirs(Path(folder), dsn, dbt, SLOTS, graph, {}))
            walls: dict[str, list[float]] = {command.name: [] for command in found}
            steps = []
            for _ in range(runs):
                for command in found:
                    ran = command.run()
                    walls[command.name].append(ran.wall)
                    steps += [ran.step_seconds] if ran.step_seconds else []
            medians = {name: statistics.median(several) for name, several in walls.items()}
            for name, wall in medians.items():
                ratio = f"{wall / medians['dbt run']:8.2f}" if "dbt run" in medians else ""
                line = f"{models:8}  {name:16}{wall:10.2f} s{ratio:>8}"
                if name != "dbt run":
                    line += f"{1000 * statistics.median(steps) / models:9.1f} ms"
                print(line, flush=True)


def width(dsn: str, dbt: str | None, quick: bool) -> None:
    """The WATCHER's table: models that sleep equally; makespan against whole rounds of sleep."""
    models, seconds = (4, 0.1) if quick else (24, 1.0)
    texts = {f"m{i}": f"select pg_sleep({seconds})::text as s" for i in range(models)}
    print(f"{models} models that sleep {seconds} s: makespan, and above the ideal")
    print(f"{'slots':>7}{'ideal':>9}{'dagster-models':>22}{'dbt run':>22}")
    for slots in [4] if quick else [1, 2, 4, 8, 16]:
        ideal = math.ceil(models / slots) * seconds
        with tempfile.TemporaryDirectory() as folder:
            line = f"{slots:7}{ideal:7.1f} s"
            took = ours(Path(folder), dsn, texts, slots).run().step_seconds or 0.0
            line += f"{took:12.2f} s{took / ideal - 1:8.1%}"
            if dbt and not quick:
                command = theirs(Path(folder), dsn, dbt, slots, {}, texts)
                command.run()
                took = _makespan_of_dbt(command.cwd)
                line += f"{took:12.2f} s{took / ideal - 1:8.1%}"
            print(line, flush=True)


def _makespan_of_dbt(root: Path) -> float:
    """By its run_results.json: from the first model's start to the last one's end."""
    results = json.loads((root / "target" / "run_results.json").read_text())["results"]
    times = [
        datetime.fromisoformat(timing[what].replace("Z", "+00:00"))
        for result in results
        for timing in result["timing"]
        for what in ("started_at", "completed_at")
    ]
    return (max(times) - min(times)).total_seconds()


def stopping(dsn: str, dbt: str | None, quick: bool) -> None:
    """Eight queries of a minute, and one model that is made to fail when all eight run."""
    texts = {f"long{i}": _MINUTE for i in range(LONG)} | {"fails": _FAILS}
    with tempfile.TemporaryDirectory() as folder:
        found = [ours(Path(folder), dsn, texts, LONG + 1)]
        with open(found[0].cwd / "dagster_models.yaml", "a") as file:
            file.write("fail_fast: true\n")
        if dbt and not quick:
            more = "--fail-fast"
            found.append(theirs(Path(folder), dsn, dbt, LONG + 1, {}, texts, more))
        figures: dict[str, list[tuple[float, float]]] = {command.name: [] for command in found}
        for _ in range(1 if quick else 3):
            for command in found:
                figures[command.name].append(_stop(command, dsn))
    print(f"seconds from the failure{'':14}{'to the last query gone':>26}{'to the end':>14}")
    for name, several in figures.items():
        gone, end = (statistics.median(column) for column in zip(*several, strict=True))
        print(f"  {name:36}{gone:18.2f}{'':8}{end:14.2f}")
        if name == "dagster-models":
            show("from the failure to the last query gone", gone, GONE)


def _stop(command: Command, dsn: str) -> tuple[float, float]:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"select pg_advisory_lock({_LOCK})".encode())
        with command.started() as (process, _):
            told: list[Any] = []
            reader = threading.Thread(target=lambda: told.append(process.communicate()[0]))
            reader.start()
            _until(admin, "query like '%%a_minute%%'", LONG, process)
            _until(
                admin, "query like '%%pg_advisory_lock%%' and wait_event = 'advisory'", 1, process
            )
            admin.execute(f"select pg_advisory_unlock({_LOCK})".encode())
            began = time.perf_counter()
            _until(admin, "query like '%a_minute%'", 0, None)
            gone = time.perf_counter() - began
            reader.join()
            if process.returncode == 0:
                raise SystemExit(f"{command.name} did not fail:\n{told}")
            return gone, time.perf_counter() - began


def _until(admin: psycopg.Connection, where: str, wanted: int, process: Any) -> None:
    """Until so many other sessions are at such a query."""
    text = (
        "select count(*) from pg_stat_activity where state <> 'idle' and pid <> pg_backend_pid()"
        f" and {where}"
    )
    while admin.execute(text.encode()).fetchone() != (wanted,):
        if process is not None and process.poll() is not None:
            raise SystemExit("the command ended early")
        time.sleep(0.002)


Part = Callable[[str, "str | None", bool], None]

RUNS: Mapping[str, Part] = {"overhead": overhead, "width": width, "stopping": stopping}

__all__: Sequence[str] = ["RUNS"]
