"""The section of docs/checks.md on checks in Python is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Key
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.processes.client.session import connect
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.config import PYTHON_CHECK_KEYS
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, postgres_system, session_of
from tasks import sql_task
from worker_driver import Driver

PAGE = Page.of("checks.md")
SECTION = PAGE.section("Checks in Python")


def test_its_keys() -> None:
    (listed,) = re.findall(r"^The header is.*?\n\n", SECTION, re.MULTILINE | re.DOTALL)
    words = set(re.findall(r"`(\w+)`", listed.partition(" for tables")[0]))
    assert words == set(PYTHON_CHECK_KEYS)


def test_the_check_of_orders(tmp_path: Path) -> None:
    system = duckdb_system(str(tmp_path / "w.duckdb"))
    path = system.settings["path"]
    files = {
        "dagster_models.yaml": f"name: p\ntargets: {{dev: {{type: duckdb, path: {path}}}}}\n",
        "models/sources.yaml": "sources: [{name: raw, tables: [paid, payments]}]",
        "models/marts/orders.sql": "/* @model\nmaterialized: table\n*/\n"
        "select amount from raw.paid",
        "checks/orders_balance.py": SECTION.block("python"),
    }
    project = load(write_project(tmp_path / "p", files), environ={})
    assert project.warnings == ()
    step = TargetStep(project, project.steps[Key("marts", "orders")], usable_target(project))
    driver = Driver(tmp_path / "p", system.address)
    with connect(system.address) as session:
        session.prepare(["raw", "marts"])
        session.execute("create table raw.paid as select 5 as amount")
        session.execute("create table raw.payments as select 5 as amount")
        try:
            found: list[Verdict] = []
            for attempt in (1, 2):
                driver.start_task(task_for(step, "r", attempt))
                found.append(driver.answer().verdict)
                session.execute("insert into raw.payments values (1)")
            assert driver.out.take("6\n").splitlines() == [
                "orders_balance: ordered 5 paid 5",
                "orders_balance: ordered 5 paid 6",
            ]
        finally:
            driver.close()
    assert found == [Verdict.COMMITTED, Verdict.ROLLED_BACK]


def test_what_is_sent_to_postgres(postgres_dsn: str) -> None:
    answers: list[dict[str, Any]] = [
        {"op": "query", "sql": "select n from s.t"},
        {
            "op": "found",
            "failures": 0,
            "description": "",
            "checked": None,
            "columns": [],
            "sample": [],
            "query": "",
            "path": "",
        },
    ]
    check = CheckTask("c", "", code=PythonCode(LoadedFile("c.py")))
    sent: list[str] = []
    warehouse = postgres_system(postgres_dsn).open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        plain: Any = session.run  # type: ignore[attr-defined]
        session.run = lambda sql, *a, **k: sent.append(sql) or plain(sql, *a, **k)  # type: ignore
        task = sql_task("s.t", "select 1 as n", checks=(check,))
        outcome = run(session, task, Stop(), ask=lambda message: answers.pop(0))
        assert (outcome.verdict, outcome.error) == (Verdict.COMMITTED, None)
    warehouse.close()
    at = sent.index("SAVEPOINT dagster_models_before_checks")
    assert [f"{text};" for text in sent[at : at + 3]] == SECTION.block("sql").splitlines()
