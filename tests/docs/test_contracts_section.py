"""The part on contracts of docs/checks.md is true: its model is built, and its error is raised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.warehouses.base import WarehouseSession
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, session_of
from tasks import with_sql

PAGE = Page.of("checks.md")
SECTION = PAGE.section("Contracts")
MODEL, SENT, ERROR = SECTION.blocks("(?:sql)?")
SOURCES = "sources: [{name: raw, tables: [payments]}]"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[WarehouseSession]:
    warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
    with session_of(warehouse) as session:
        session.prepare(["marts", "raw"])
        yield session
    warehouse.close()


def task_of(folder: Path, text: str) -> BuildTask:
    files = {"models/sources.yaml": SOURCES, "models/marts/payments.sql": text}
    project = load(write_project(folder, files), environ={})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    task = task_for(TargetStep(project, step, usable_target(project)), "r", 1)
    assert isinstance(task, BuildTask)
    return task


@pytest.mark.parametrize("word", ["contract: true", "contract: {enforced: true}"])
def test_the_model_the_statement_and_the_error(
    session: WarehouseSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    sent: list[str] = []
    change: Any = session.change  # type: ignore[attr-defined]

    def recorded(sql: str, lines_before: int = 0) -> int:
        sent.append(f"{sql}\n")
        return int(change(sql, lines_before))

    monkeypatch.setattr(session, "change", recorded)
    session.execute(
        "create table raw.payments as select cast(1 as bigint) as payment_id,"
        " cast(2 as decimal(18, 2)) as amount, cast('2024-01-01' as timestamp) as paid_at"
    )
    task = task_of(tmp_path, MODEL.replace("contract: true", word))
    assert run(session, task, Stop()).error is None
    assert sent[0] == SENT
    wrong = (
        "select payment_id, cast(amount as decimal(18, 3)) as amount, paid_at, 'x' as note"
        " from raw.payments"
    )
    outcome = run(session, replace(with_sql(task, wrong), attempt=2), Stop())
    assert outcome.error is not None
    assert outcome.error.message == ERROR.strip()


def test_without_it_nothing_is_compared(session: WarehouseSession, tmp_path: Path) -> None:
    with_contract = task_of(tmp_path / "a", MODEL)
    without = task_of(tmp_path / "b", MODEL.replace("contract: true", "contract: false"))
    assert with_contract.contract is not None
    assert without.contract is None
    assert with_contract.code_version == without.code_version
