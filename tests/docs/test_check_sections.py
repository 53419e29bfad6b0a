"""The parts of docs/checks.md on thresholds, scope, the scan and the failing rows are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.checks import Severity, Threshold, thresholds_of
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import BuildTask
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.reporting.results import StepResult
from dagster_models.reporting.step_results import step_result
from dagster_models.reporting.terminal import Terminal
from pages import Page
from project_cases import load, write_project
from systems import duckdb_system, session_of

PAGE = Page.of("checks.md")
SOURCES = "sources: [{name: raw, tables: [orders]}]"


def test_the_scan_and_the_failing_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, *sent = PAGE.section("One scan").blocks("(?:sql)?")
    files = {"models/sources.yaml": SOURCES, "models/marts/orders.sql": model}
    project = load(write_project(tmp_path / "p", files), environ={})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    target_step = TargetStep(project, step, usable_target(project))
    warehouse = duckdb_system(str(tmp_path / "w.duckdb")).open()
    with session_of(warehouse) as session:
        session.prepare(["marts", "raw"])
        session.execute(
            "create table raw.orders as select * from (values (1, 5, true, 1, 1))"
            " t(order_id, amount, paid, ordered, shipped)"
        )
        task = task_for(target_step, "first", 1)
        assert isinstance(task, BuildTask)
        assert run(session, task, Stop()).verdict is Verdict.COMMITTED
        session.execute("insert into raw.orders values (2, null, true, 2, 1), (3, 1, true, 3, 3)")
        session.execute("delete from raw.orders where order_id = 1")
        texts: list[str] = []
        read, count = session.read, session.count
        session.read = lambda sql: texts.append(sql) or read(sql)  # type: ignore
        session.count = lambda sql: texts.append(sql) or count(sql)  # type: ignore
        task = task_for(target_step, "second", 1)
        assert isinstance(task, BuildTask)
        outcome = run(session, task, Stop())
        assert outcome.verdict is Verdict.ROLLED_BACK
        assert [text.strip() for text in texts[:2]] == [text.strip() for text in sent]
        stored = session.query("select order_id from marts.failures_no_time_travel")[1]
        assert stored == [(2,)]
    warehouse.close()
    result = step_result("marts.orders", target_step, "failed", outcome)
    assert isinstance(result, StepResult)
    import sys

    Terminal(sys.stdout, color=False, clock=lambda: "").done([result], 1.0)
    printed = [line.removeprefix("  ") for line in capsys.readouterr().out.splitlines()]
    at = next(n for n, line in enumerate(printed) if "FAIL check paid_has_amount" in line)
    shown = PAGE.section("Failing rows").block("(?:sql)?")
    assert printed[at : at + 4] == shown.splitlines()


@pytest.mark.parametrize("row", range(5))
def test_the_table_of_thresholds(row: int) -> None:
    lines = re.findall(r"^\| (.*) \|$", PAGE.section("Thresholds"), re.MULTILINE)[2:]
    given, none, warns, fails = (cell.strip() for cell in lines[row].split("|"))
    severity: Severity = "warn" if "warn`" in given and "neither" in given else "error"
    more, less = Threshold("5"), Threshold("0")
    both = "both" in given
    limits = thresholds_of(
        severity,
        less if both or given.startswith("`warn_if`") else None,
        more if both or given.startswith("`error_if`") else None,
    )

    def state(failures: int) -> str:
        exceeded = (name for name, limit in limits.items() if limit.exceeded(failures, None))
        return {"error": "fails", "warn": "warns", "": "passes"}[next(exceeded, "")]

    assert none == state(0)
    assert warns.split(" ")[0] in ("", state(1))
    assert fails.split(" ")[0] in ("", state(9))
    assert warns or fails
