"""docs/sources_elsewhere.md is true: its project is loaded, compared with what is sent, built."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import duckdb

from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.warehouses.duckdb.session import connect
from paths import REPOSITORY
from project_cases import make
from systems import session_of

PAGE = (REPOSITORY / "docs" / "sources_elsewhere.md").read_text(encoding="utf-8")
PROJECT, SOURCES, MODEL, SENT = re.findall(
    r"^```(?:sql|yaml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
)[:4]


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
