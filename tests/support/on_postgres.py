"""What the tests of PostgreSQL share: tasks, projects, and a look at the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from dagster_models.core.tasks import BuildTask
from dagster_models.execution.runners.events import WorkerEvent
from dagster_models.execution.runners.task_runners import TaskRunners
from running import Project, make_project
from tasks import sql_task

WAIT_SECONDS = 60.0  #: of a machine that is busy


def task(name: str, sql: str, *, run_id: str = "r", view: bool = False) -> BuildTask:
    return sql_task(f"s.{name}", sql, run_id=run_id, view=view)


def next_events(runners: TaskRunners) -> list[WorkerEvent]:
    """What the runners report next."""
    end = time.monotonic() + WAIT_SECONDS
    while not (found := runners.queue.wait(1)):
        assert time.monotonic() < end, "nothing happens"
    return found


def until(condition: Callable[[], Any]) -> None:
    """Wait until what another process does is seen on the server."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def backends(admin: psycopg.Connection, where: str) -> list[int]:
    rows = admin.execute(
        "select pid from pg_stat_activity where application_name like 'dagster-models%'"
        f" and datname = current_database() and {where}".encode()
    ).fetchall()
    return [pid for (pid,) in rows]


def postgres_project(folder: Path, files: dict[str, str], settings: str = "") -> Project:
    project = make_project(folder, files)
    text = (project.root / "dagster_models.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("targets:")]
    target = f'targets: {{pg: {{type: postgres, dsn: "${{DATABASE_URL}}", threads: 4{settings}}}}}'
    (project.root / "dagster_models.yaml").write_text("\n".join([*lines, target]) + "\n")
    return project
