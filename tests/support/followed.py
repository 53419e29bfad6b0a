"""A project on each warehouse, beside somebody who writes the table that its models follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dagster import DagsterInstance

from on_postgres import postgres_project
from running import Project, make_project


@dataclass(frozen=True)
class Shop:
    """A project on one warehouse, and somebody who writes the table that its models follow."""

    project: Project
    execute: Callable[[str], Any]
    rows: Callable[[str], list[tuple[Any, ...]]]

    def order(self, order_id: int, status: str, day: int) -> None:
        self.execute(f"delete from raw.orders where order_id = {order_id}")
        self.execute(
            f"insert into raw.orders values ({order_id}, '{status}', timestamp '2026-01-{day:02}')"
        )

    def metadata(self) -> dict[str, dict[str, Any]]:
        """Step -> our metadata of its materialization in the last run."""
        with DagsterInstance.from_config(str(self.project.home)) as instance:
            (run,) = instance.get_runs(limit=1)
            events = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
        found = {}
        for event in events:
            if event is not None and event.is_step_materialization and event.step_key:
                written = event.step_materialization_data.materialization.metadata
                found[event.step_key.replace("__", ".")] = {
                    name.removeprefix("dagster_models/"): value.value
                    for name, value in written.items()
                }
        return found


def shop_of(
    request: pytest.FixtureRequest,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, str],
) -> Shop:
    """The shop of a fixture whose parameter is the name of the warehouse."""
    if request.param == "duckdb":
        project = make_project(folder, dict(files))
        (project.root / "target").mkdir()

        def execute(sql: str) -> None:
            with project.warehouse() as session:
                session.execute(sql)

        made = Shop(project, execute, project.rows)
    else:
        dsn = request.getfixturevalue("postgres_dsn")
        monkeypatch.setenv("DATABASE_URL", dsn)
        admin = request.getfixturevalue("admin")
        assert isinstance(admin, psycopg.Connection)
        made = Shop(
            postgres_project(folder, dict(files)),
            lambda sql: admin.execute(sql.encode()),
            lambda sql: admin.execute(sql.encode()).fetchall(),
        )
    made.execute("create schema raw")
    made.execute("create table raw.orders (order_id int, status varchar, updated_at timestamp)")
    return made
