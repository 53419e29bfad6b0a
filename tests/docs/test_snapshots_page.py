"""The part on snapshots of docs/models.md is true: each block of it is built, asked or compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.changes import Changes
from dagster_models.core.materializations import KINDS, Snapshot
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.config import HEADER_KEYS
from dagster_models.project.targets import usable_target
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.materializations import snapshot
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, session_of
from tasks import sql_task

PAGE = Page.of("models.md")
SECTION = Page(PAGE[PAGE.index("\n## Snapshots\n") :])
SOURCES = "sources: [{name: raw, tables: [customers]}]"
BLOCKS = SECTION.blocks("(?:sql|python)")
MODEL, READER, SENT, PYTHON = BLOCKS


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WarehouseSession]:
    days = iter(range(100))
    first = datetime(2026, 1, 1)
    monkeypatch.setattr(snapshot, "utc_now", lambda: first + timedelta(days=next(days)))
    warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
    with session_of(warehouse) as session:
        session.prepare(["history", "raw"])
        yield session
    warehouse.close()


def target_step(folder: Path, name: str, text: str) -> TargetStep:
    files = {"models/sources.yaml": SOURCES, f"models/history/{name}": text}
    project = load(write_project(folder, files), environ={})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    return TargetStep(project, step, usable_target(project))


def test_the_model_and_its_reader(session: WarehouseSession, tmp_path: Path) -> None:
    model = target_step(tmp_path, "customers.sql", MODEL)
    session.execute(
        "create table raw.customers as select 1 as customer_id, 'A' as name, 'x' as city"
    )
    for attempt, city in enumerate(("x", "y", "z")):
        session.execute(f"update raw.customers set city = '{city}'")
        task = task_for(model, "r", attempt)
        assert isinstance(task, BuildTask)
        assert run(session, task, Stop()).error is None
    assert [tuple(row) for row in session.query(READER)[1]] == [(1, "y")]
    session.execute("delete from raw.customers")
    outcome = run(session, replace(task, attempt=9), Stop())
    assert outcome.changes == Changes("snapshot", None, 0, 0, 1)
    now = READER.replace("2026-01-02 12:00:00", "2026-02-01 00:00:00")
    assert session.query(now)[1] == []


def test_what_is_sent(session: WarehouseSession, monkeypatch: pytest.MonkeyPatch) -> None:
    how = Snapshot("check", ("id",), hard_deletes="invalidate")
    sent: list[str] = []
    change: Any = session.change  # type: ignore[attr-defined]

    def recorded(sql: str, lines_before: int = 0) -> int:
        sent.append(f"{sql};")
        return int(change(sql, lines_before))

    for attempt, city in enumerate("xy"):
        task = sql_task("history.customers", f"select 1 as id, '{city}' as city", attempt=attempt)
        if attempt:
            monkeypatch.setattr(session, "change", recorded)
        assert run(session, replace(task, materialization=how), Stop()).error is None
    _, *found = sent
    assert "".join("".join(found[:3]).split()) == "".join(SENT.split())


def test_python(tmp_path: Path) -> None:
    step = target_step(tmp_path, "customers.py", PYTHON).step
    assert KINDS[step.config.materialized].of(step.config) == Snapshot(
        "timestamp",
        ("customer_id",),
        "updated_at",
        open_end="9999-12-31 00:00:00",
        valid_from="since",
        valid_to="until",
    )


def test_the_table_of_keys() -> None:
    known = HEADER_KEYS["models"]
    table = SECTION[SECTION.index("| key |") : SECTION.index("With `timestamp`")]
    keys = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert len(keys) == 8
    assert set(keys) <= set(known)
