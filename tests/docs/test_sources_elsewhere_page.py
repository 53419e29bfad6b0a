"""docs/sources_elsewhere.md is true: its project is loaded, compared with what is sent, built."""

from __future__ import annotations

from contextlib import closing
from itertools import permutations
from pathlib import Path

import duckdb
import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import BuildTask, PythonTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.warehouses.duckdb.session import connect
from pages import Page
from project_cases import make
from systems import session_of

PAGE = Page.of("sources_elsewhere.md")
BLOCKS = PAGE.blocks("(?:sql|yaml)")
PROJECT, SOURCES, MODEL, SENT, COPYING, COPY, COPIED = BLOCKS


def test_what_is_attached(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    files = {
        "dagster_models.yaml": PROJECT,
        "models/sources.yaml": SOURCES,
        "models/marts/revenue.sql": MODEL,
        "data/rates_2026.csv": "rate\n1.10\n",
        "data/lake/README.md": "what is in here",
    }
    project = make(root, files)
    assert project.warnings == ()
    (tmp_path / "crm").mkdir()
    (root / "target").mkdir()
    with closing(duckdb.connect(str(tmp_path / "crm" / "crm.duckdb"))) as crm:
        crm.execute("create schema public")
        crm.execute("create table public.customers as select 1 as customer_id, 'Ada' as name")
        orders = root / "data" / "lake" / "orders.parquet"
        orders_of = "select 7 as order_id, 1 as customer_id, 2.5::double as price"
        crm.execute(f"copy ({orders_of}) to '{orders}'")
    step, target = project.steps[Key("marts", "revenue")], usable_target(project)
    sent = compile_step(project, step, target)
    assert sent.partition("*/\n")[2] == SENT
    assert {str(key) for key in step.upstream} == {"lake.orders", "crm.customers"}
    assert (Key("lake", "orders"), "price") in step.trace.columns[1].sources
    warehouse = connect(target.settings)
    with session_of(warehouse) as session:
        session.prepare(["marts"])
        task = task_for(TargetStep(project, step, target), "r", 1)
        assert isinstance(task, BuildTask)
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error
        assert session.query("from marts.revenue")[1] == [("Ada", 2.5)]
        assert session.query("from rates.main.rates_2026")[1] == [("1.10",)]
    warehouse.close()


def test_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is built in tests/processes/test_copies.py; here is what is sent."""
    monkeypatch.setenv("ERP_DSN", "postgresql://h/erp")
    project = make(
        tmp_path, {"dagster_models.yaml": COPYING, "models/sales/orders.sql": COPY.strip()}
    )
    assert project.warnings == ()
    step = project.steps[Key("sales", "orders")]
    task = task_for(TargetStep(project, step, usable_target(project)), "r", 1)
    assert isinstance(task, PythonTask)
    assert task.copied is not None
    sent = task.copied.increment.replace(SINCE, "TIMESTAMP '2026-01-03 11:00:00'")
    header = COPY[: COPY.index("*/") + 3]
    assert sent.replace(header, "\n", 1) == COPIED.strip()


def test_the_page_says_which_types_are_stored_as_others() -> None:
    table = PAGE.partition("| from | to | stored as |")[2].partition("\n\n")[0].lower()
    rows = [row.strip("|").split("|") for row in table.splitlines()[2:]]
    for row, other in permutations((target_type(name) for name in _NAMES), 2):
        forms, stored = row.copy_forms, other.copy_forms
        noted = {
            (f"`{type_}`", f"`{stored.type_of(form).lower()}`")
            for type_, form in forms.reads.items()
            if form in stored.notes
        }
        said = {
            (type_.strip(), kept.strip())
            for types, warehouse, kept in rows
            if warehouse.strip() == _NAMES[other.name]
            for type_ in types.split(",")
        }
        assert said == noted


_NAMES = {"duckdb": "duckdb", "postgres": "postgresql"}
