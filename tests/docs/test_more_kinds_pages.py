"""functions.md, ephemeral.md and custom.md are true: each block is built or compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key, Project
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.config import HEADER_KEYS
from dagster_models.project.targets import usable_target
from dagster_models.warehouses.base import WarehouseSession
from pages import Page
from paths import REPOSITORY
from project_cases import make
from running import make_project
from systems import duckdb_system, session_of

SOURCES = "sources: [{name: raw, tables: [orders, readings]}]"
CODE = "(?:sql|python)"
ORDERS = (
    "create table raw.orders as select 7 as order_id, 3 as customer_id, 2.5 as price, 0.29 as tax,"
    " 'paid' as status, date '2026-01-03' as ordered_on"
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[WarehouseSession]:
    warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
    with session_of(warehouse) as session:
        session.prepare(["marts", "raw", "staging"])
        session.execute(ORDERS)
        yield session
    warehouse.close()


def project_of(folder: Path, **files: str) -> Project:
    named = {name.replace("__", "/") + ".sql": text for name, text in files.items()}
    project = make(folder, {"models/sources.yaml": SOURCES, **named})
    assert project.warnings == ()
    return project


def built(session: WarehouseSession, project: Project) -> None:
    for step in project.steps.values():
        task = task_for(TargetStep(project, step, usable_target(project)), "r", 1)
        assert isinstance(task, BuildTask)
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error
        assert all(check.passed for check in outcome.checks)


def rows(session: WarehouseSession, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.query(sql)[1]]


def test_functions(
    session: WarehouseSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = Page.of("functions.md").blocks(CODE)
    cents, caller, table, reader, in_duckdb, in_postgres, check = blocks
    project = project_of(
        tmp_path,
        models__marts__cents=cents,
        models__marts__in_cents=caller,
        models__marts__orders_since=table,
        models__marts__since=reader,
        checks__cents_are_exact=check,
    )
    sent: list[str] = []
    change = session.change  # type: ignore[attr-defined]

    def recorded(sql: str, lines_before: int = 0) -> int:
        sent.append(sql)
        return int(change(sql, lines_before))

    monkeypatch.setattr(session, "change", recorded)
    built(session, project)
    assert rows(session, "from marts.in_cents") == [(7, 250, 29)]
    assert rows(session, "from marts.since") == [(3, 1)]
    header = cents[: cents.index("*/") + 3]
    without = [text.replace(header, "") for text in sent if '"cents"' in text]
    assert in_duckdb.strip() in without
    step = project.steps[Key("marts", "cents")]
    from dagster_models.core.materializations import Function
    from dagster_models.warehouses.postgres.functions import replace_function

    made: list[str] = []

    class Runner:
        affected = 0

        def run(self, sql: str, parameters: object = None, **more: object) -> list[object]:
            made.append(sql)
            return []

    text = compile_step(project, step, usable_target(project))
    assert step.relation is not None
    replace_function(Runner(), step.relation, Function.of(step.config), text)  # type: ignore[arg-type]
    assert made[-1].replace(header, "") == in_postgres.strip()


def test_ephemeral_models(session: WarehouseSession, tmp_path: Path) -> None:
    model, reader, sent = Page.of("ephemeral.md").blocks(CODE)
    project = project_of(tmp_path, models__staging__paid_orders=model, models__marts__payers=reader)
    step = project.steps[Key("marts", "payers")]
    assert compile_step(project, step, usable_target(project)).strip() == sent.strip()
    built(session, project)
    assert [(str(a), str(b)) for a, b in rows(session, "from marts.payers")] == [("3", "2.5")]


@pytest.mark.slow
def test_a_kind_of_its_own(tmp_path: Path) -> None:
    kind, model = Page.of("custom.md").blocks(CODE)
    readings = "/* @model\nschema: raw\n*/\nselect 1 as sensor, 2.5 as value"
    files = {
        "kinds/newest.py": kind,
        "models/raw/readings.sql": readings,
        "models/marts/newest.sql": model,
    }
    project = make_project(tmp_path, files)
    for count in (1, 2, 2):
        ran = project.run()
        assert ran.code == 0, ran.stdout + ran.stderr
        loads = "select count(distinct loaded_at), count(*) from marts.newest"
        assert project.rows(loads) == [(count, count)]


def test_every_key_is_on_its_page() -> None:
    pages = {"functions.md": ("arguments", "returns"), "custom.md": ("settings",)}
    for page, keys in pages.items():
        text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
        assert all(key in HEADER_KEYS["models"] and f"`{key}" in text for key in keys)
