"""alpha -> beta_a, beta_b -> gamma_a, gamma_b: every place that reports a run reports the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import ENDLESS, Project, RunReport, make_project

pytestmark = pytest.mark.slow

FAILS = "select error('division by zero') as n from main.alpha"
SLOW = "select count(*) as n from main.alpha, range(30000000) where hash(range) <> 0"
STUCK = f"{ENDLESS}, main.alpha"
FILES = {
    "models/alpha.sql": "select 1 as n",
    "models/beta_a.sql": "select n from alpha",
    "models/beta_b.sql": "select n from alpha",
    "models/gamma_a.sql": "select n from beta_a",
    "models/gamma_b.sql": "select n from beta_b",
}
ALL = {f"main.{name}" for name in ("alpha", "beta_a", "beta_b", "gamma_a", "gamma_b")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES)


def agree(project: Project, report: RunReport, **expected: str) -> None:
    """Journal, results file, terminal, event log, commit records and tables say *expected*."""
    by_step = {f"main.{name}": state for name, state in expected.items()}
    succeeded = {step for step, state in by_step.items() if state == "succeeded"}
    assert report.states() == by_step, report.stdout
    dbt = {"succeeded": "success", "failed": "error", "skipped": "skipped", "canceled": "skipped"}
    assert report.statuses() == {name: dbt[state] for name, state in expected.items()}
    assert project.commits() == succeeded
    assert project.tables() == succeeded
    keys = {step.replace(".", "__"): state for step, state in by_step.items()}
    assert report.of_type("STEP_SUCCESS") == {k for k, s in keys.items() if s == "succeeded"}
    assert report.of_type("ASSET_MATERIALIZATION") == report.of_type("STEP_SUCCESS")
    stopped = {k for k, s in keys.items() if s in ("failed", "canceled")}
    assert report.of_type("STEP_FAILURE") == stopped
    assert report.of_type("STEP_SKIPPED") == set()
    count = list(expected.values()).count
    assert report.stdout.rstrip().endswith(
        f"Done. PASS={count('succeeded')} WARN=0 ERROR={count('failed')} "
        f"SKIP={count('skipped')} CANCEL={count('canceled')} TOTAL=5"
    )
    titles = {"succeeded": "OK table", "failed": "ERROR table", "canceled": "CANCEL table"}
    for step, state in by_step.items():
        assert f" of 5 {titles.get(state, 'SKIP')} {step} " in report.stdout, report.stdout


@pytest.mark.parametrize("slots", [1, 2])
def test_smooth(project: Project, slots: int) -> None:
    report = project.run({"max_concurrent": slots})
    assert report.code == 0, report.stderr
    agree(
        project,
        report,
        **dict.fromkeys(("alpha", "beta_a", "beta_b", "gamma_a", "gamma_b"), "succeeded"),
    )
    assert project.status() == "SUCCESS"


@pytest.mark.parametrize("slots", [1, 2])
def test_an_error_skips_what_is_downstream_and_nothing_else(project: Project, slots: int) -> None:
    project.write({"models/beta_a.sql": FAILS, "models/beta_b.sql": SLOW})
    report = project.run({"max_concurrent": slots})
    assert report.code == 1
    agree(
        project,
        report,
        alpha="succeeded",
        beta_a="failed",
        beta_b="succeeded",
        gamma_a="skipped",
        gamma_b="succeeded",
    )
    assert "division by zero" in report.stdout
    assert "models/beta_a.sql" in report.stdout
    assert "upstream main.beta_a failed" in report.stdout
    assert project.status() == "FAILURE"
    ends = [message for _, type_, message in report.events if type_ == "PIPELINE_FAILURE"]
    assert ends == ["Steps failed: ['main__beta_a']."] or "main__beta_a" in ends[0]


def test_an_error_names_the_line_of_the_users_file(project: Project) -> None:
    project.write({"models/beta_a.sql": "-- a comment\nselect\n  nope(1)\nfrom alpha"})
    report = project.run()
    assert "models/beta_a.sql:3" in report.stdout, report.stdout


def test_fail_fast_cancels_what_is_in_flight(project: Project) -> None:
    project.write({"models/beta_a.sql": FAILS, "models/beta_b.sql": STUCK})
    report = project.run({"max_concurrent": 2, "fail_fast": True})
    assert report.code == 1
    agree(
        project,
        report,
        alpha="succeeded",
        beta_a="failed",
        beta_b="canceled",
        gamma_a="skipped",
        gamma_b="skipped",
    )
    (failure,) = [message for _, type_, message in report.events if type_ == "PIPELINE_FAILURE"]
    assert "beta_a" in failure
    assert "beta_b" not in failure
    assert project.status() == "FAILURE"


def test_fail_fast_with_one_slot_starts_nothing_more(project: Project) -> None:
    project.write({"models/beta_a.sql": FAILS, "models/beta_b.sql": STUCK})
    report = project.run({"max_concurrent": 1, "fail_fast": True})
    agree(
        project,
        report,
        alpha="succeeded",
        beta_a="failed",
        beta_b="skipped",
        gamma_a="skipped",
        gamma_b="skipped",
    )


def test_drain_lets_what_is_in_flight_finish(project: Project) -> None:
    project.write({"models/beta_a.sql": FAILS, "models/beta_b.sql": SLOW})
    report = project.run({"max_concurrent": 2, "fail_fast": "drain"})
    agree(
        project,
        report,
        alpha="succeeded",
        beta_a="failed",
        beta_b="succeeded",
        gamma_a="skipped",
        gamma_b="skipped",
    )


LATE_CANCEL = """
import threading
from dagster_models.core.target_types import target_type
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.sql_sessions import SqlSessions
from dagster_models.processes.client.session import connect

cancel = SqlSessions.cancel

def late(self, step):
    threading.Thread(target=when_committed, args=(self, step), daemon=True).start()

def when_committed(self, step):
    # The cancel reaches the warehouse only after the step has committed there.
    address = WarehouseAddress(target_type("duckdb"), {"path": DATABASE})
    with connect(address) as session:
        while not session.query("select 1 from dagster_models.commits where step = 'main.beta_b'"):
            pass
    cancel(self, step)

SqlSessions.cancel = late
"""


def test_a_commit_that_wins_the_race_is_reported_as_succeeded_everywhere(project: Project) -> None:
    project.write({"models/beta_a.sql": FAILS, "models/beta_b.sql": SLOW})
    late = LATE_CANCEL.replace("DATABASE", repr(str(project.database)))
    project.write({"definitions.py": late + (project.root / "definitions.py").read_text()})
    report = project.run({"max_concurrent": 2, "fail_fast": True})
    agree(
        project,
        report,
        alpha="succeeded",
        beta_a="failed",
        beta_b="succeeded",
        gamma_a="skipped",
        gamma_b="skipped",
    )
