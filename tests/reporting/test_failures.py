"""One error, from the warehouse to all who write it: the same place and message everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import load_project
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.dagster_text import check_text, step_text, traceback_text
from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.wording import placed
from dagster_models.util.durations import rounded
from results_examples import (
    BROKEN,
    CANCELED,
    FAILED,
    SKIPPED,
    SKIPPED_FAR,
    SKIPPED_VERY_FAR,
    UNREAD,
    sql,
)
from running import Project, RunReport, make_project

MISSING = "Catalog Error: Scalar Function with name nope_fn does not exist!"

#: A failed step, and a failed check of severity error and of warn; an attempt that is retried.
FILES = {
    "models/broken.sql": "select 1 as id,\n  nope_fn(1) as n",
    "models/below.sql": "select id from broken",
    "models/again.sql": "/* @model\nretries: 1\n*/\nselect nope_fn(1) as n",
    "models/blocked.sql": "select 1 as id",
    "models/warned.sql": "select 1 as id",
    "models/column.sql": "/* @model\ncolumns:\n  id: {checks: [unique]}\n*/\n"
    "select unnest([1, 1]) as id",
    "checks/blocks.sql": "/* @check\nmodel: blocked\n*/\nselect *\nfrom blocked\nwhere nope_fn(id)",
    "checks/warns.sql": "/* @check\nmodel: warned\nseverity: warn\n*/\nselect *\nfrom warned\n"
    "where nope_fn(id)",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("failures"), FILES)


@pytest.fixture(scope="module")
def report(project: Project) -> RunReport:
    return project.run()


@pytest.fixture(scope="module")
def events(project: Project, report: RunReport) -> list[dg.DagsterEvent]:
    with dg.DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        logged = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
    return [event for event in logged if event is not None]


def data_of(events: list[dg.DagsterEvent], type_: str) -> Iterator[tuple[str, Any]]:
    for event in events:
        if event.event_type_value == type_:
            yield event.step_key or "", event.event_specific_data


@pytest.mark.slow
def test_a_failed_step_has_its_place_in_each_report(
    report: RunReport, events: list[dg.DagsterEvent]
) -> None:
    text = f"models/broken.sql:2: {MISSING}"
    assert f"    {text}\n" in report.stdout
    message = {r["unique_id"]: r["message"] for r in report.results["results"]}
    assert message["model.test.broken"].startswith(f"{text}\n")
    failures = dict(data_of(events, "STEP_FAILURE"))
    assert failures["main__broken"].error.message.startswith(f"{text}\n")
    assert failures["main__broken"].user_failure_data.description.startswith(f"{text}\n")
    assert report.journal is not None
    result = {step.step: step for step in report.journal.steps}["main.broken"]
    assert result.error is not None
    assert (result.where, result.error.kind) == ("models/broken.sql:2", ErrorKind.MISSING_RELATION)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "check", "place"),
    [("blocked", "blocks", "checks/blocks.sql:6"), ("warned", "warns", "checks/warns.sql:7")],
)
def test_a_check_whose_query_fails_has_its_place_in_each_report(
    report: RunReport, events: list[dg.DagsterEvent], model: str, check: str, place: str
) -> None:
    text = f"{place}: {MISSING}"
    assert f" check {check}: {text}\n" in report.stdout
    message = {r["unique_id"]: r["message"] for r in report.results["results"]}
    assert message[f"test.test.{model}.{check}"].startswith(f"{text}\n")
    evaluation = {e.check_name: e for _, e in data_of(events, "ASSET_CHECK_EVALUATION")}[check]
    assert evaluation.description.startswith(f"{text}\n")
    assert evaluation.metadata["error"].value.startswith(f"{text}\n")
    assert report.journal is not None
    (result,) = {step.step: step for step in report.journal.steps}[f"main.{model}"].checks
    assert result.error is not None
    assert (result.where, result.error.message.split("\n")[0]) == (place, MISSING)


@pytest.mark.slow
def test_a_failed_check_names_its_rows_and_its_declaration(
    report: RunReport, events: list[dg.DagsterEvent]
) -> None:
    text = "models/column.sql: not published, as a check failed: unique_id: 1 row"
    assert (
        dict(data_of(events, "STEP_FAILURE"))["main__column"].error.message
        == f"{text}\nTarget: dev\n"
    )
    assert report.journal is not None
    (check,) = {step.step: step for step in report.journal.steps}["main.column"].checks
    assert (check.where, check.failures) == ("models/column.sql:3", 1)


@pytest.mark.slow
def test_no_error_of_ours_has_stack_frames_in_the_event_log(
    events: list[dg.DagsterEvent],
) -> None:
    """They would be Dagster's and our own, around the one line that matters."""
    errors = [
        (event.event_type_value, error)
        for event in events
        if (error := getattr(event.event_specific_data, "error", None)) is not None
    ]
    assert {type_ for type_, _ in errors} == {
        "STEP_FAILURE",
        "STEP_UP_FOR_RETRY",
        "PIPELINE_FAILURE",
    }
    assert not [error for _, error in errors if error.stack or error.cause or error.context]
    assert {error.cls_name for _, error in errors} == {"StepFailed", "AttemptFailed"}


@pytest.mark.slow
def test_seconds_in_metadata_are_rounded(events: list[dg.DagsterEvent]) -> None:
    evaluations = data_of(events, "ASSET_CHECK_EVALUATION")
    found = [evaluation.metadata["seconds"].value for _, evaluation in evaluations]
    materializations = data_of(events, "ASSET_MATERIALIZATION")
    found += [
        data.materialization.metadata["dagster_models/seconds"].value
        for _, data in materializations
    ]
    assert len(found) > 3
    assert all(seconds == rounded(seconds) for seconds in found)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, 0.0), (0.00049, 0.0), (0.12345, 0.123), (1.2345, 1.23), (12.345, 12.3), (1234.5, 1234)],
)
def test_rounded(seconds: float, expected: float) -> None:
    assert rounded(seconds) == expected


@pytest.mark.slow
def test_under_another_executor_dagsters_retry_policy_decides(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/again.sql": FILES["models/again.sql"]})
    job = load_project(project.root).resolve_job_def("test")
    result = job.execute_in_process(raise_on_error=False)
    ends = [event.event_type_value for event in result.all_events if event.step_key]
    assert ends.count("STEP_UP_FOR_RETRY") == ends.count("STEP_FAILURE") == 1


BLOCKED = TaskError(ErrorKind.CHECK_FAILED, "not published, as a check failed")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (FAILED, f"models/staging/stg_flights.sql:12: {BROKEN.message}"),
        (
            replace(FAILED, error=TaskError(ErrorKind.USER_CODE, "no days", "ValueError", line=7)),
            "models/staging/stg_flights.sql:7: ValueError: no days",
        ),
        (
            sql(
                "a.b",
                "failed",
                error=BLOCKED,
                checks=(
                    CheckResult("fine", "error"),
                    CheckResult("only_warns", "warn", 3),
                    CheckResult("unique_id", "error", 1_200),
                    CheckResult("odd", "error", 0, BROKEN, file="checks/odd.sql", line=12),
                ),
            ),
            "models/a/b.sql: not published, as a check failed: unique_id: 1,200 rows; "
            f"odd: checks/odd.sql:12: {BROKEN.message}",
        ),
        (
            sql("a.b", "failed", timed_out=True, error=TaskError(ErrorKind.CANCELED, "stopped")),
            "models/a/b.sql: its timeout passed; it was canceled and rolled back",
        ),
        (
            sql("a.b", "failed", timed_out=True, error=TaskError(ErrorKind.WORKER_LOST, "killed")),
            "models/a/b.sql: its timeout passed; it was canceled and rolled back\nkilled",
        ),
        # Only what ran in one transaction of ours is rolled back, and nothing else is said to be.
        (
            replace(sql("a.b", "failed", timed_out=True), kind="script", file="scripts/b.py"),
            "scripts/b.py: its timeout passed; it was stopped, and what it had already done stays",
        ),
        (
            replace(sql("a.b", "failed", timed_out=True), kind="python", file="models/a/b.py"),
            "models/a/b.py: its timeout passed; it was stopped before its table was published",
        ),
        (
            replace(CANCELED, kind="python", cause=None),
            "Canceled: stopped before its table was published; the relation is as before the run",
        ),
        (
            replace(CANCELED, kind="script", cause=None),
            "Canceled: stopped; what it had already done stays",
        ),
        (sql("a.b", "failed"), "models/a/b.sql: failed"),
        (SKIPPED, "Skipped: upstream staging.stg_flights failed"),
        (
            SKIPPED_FAR,
            "Skipped: upstream staging.stg_flights failed "
            "(staging.stg_flights -> marts.routes -> marts.scorecard)",
        ),
        (
            SKIPPED_VERY_FAR,
            "Skipped: upstream staging.stg_flights failed (staging.stg_flights -> a.b -> a.c"
            " -> ... 1,994 more ... -> a.x -> a.y -> marts.z)",
        ),
        (
            replace(SKIPPED, cause_state=None),
            "Skipped: upstream staging.stg_flights did not succeed",
        ),
        (
            replace(SKIPPED, no_previous=True),
            "Skipped: upstream staging.stg_flights failed and has no previous version",
        ),
        (UNREAD, "Skipped: stopped after staging.stg_flights failed"),
        (sql("a.b", "skipped"), "Skipped: the run was stopped"),
        (
            CANCELED,
            "Canceled: rolled back; the relation is as before the run "
            "(stopped after staging.stg_flights failed)",
        ),
        (sql("a.b"), ""),
    ],
)
def test_what_dagster_gets(result: StepResult, text: str) -> None:
    assert step_text(result) == text


def test_a_lone_surrogate_does_not_reach_dagster() -> None:
    """Its UI answers in UTF-8, which has none."""
    error = TaskError(ErrorKind.USER_CODE, "caf\ud8e9", "ValueError", traceback="in caf\udce9.py")
    result = sql("a.b", "failed", error=error)
    assert step_text(result) == "models/a/b.sql: ValueError: caf\\ud8e9"
    assert traceback_text(result) == "```\nin caf\\udce9.py\n```"
    check = CheckResult("c", "error", error=error)
    assert check_text(check) == "ValueError: caf\\ud8e9"


def test_an_error_that_names_its_place_is_not_given_it_again() -> None:
    said = "models/a.sql:1:21: error: there is no column `x`"
    assert placed("models/a.sql", said) == said
    assert placed("models/a.sql:1", "there is none") == "models/a.sql:1: there is none"


def test_a_check_that_could_be_run_has_no_text() -> None:
    assert check_text(CheckResult("unique_id", "error", 3)) == ""


def test_a_journal_of_0_1_0_is_read() -> None:
    """There a failure was a text, an error's kind its class, and a check's error a text."""
    result = StepResult.from_json(
        {
            "step": "a.b",
            "kind": "sql",
            "materialized": "table",
            "state": "failed",
            "message": "its timeout passed; it was canceled and rolled back",
            "error": {"kind": "InterruptException", "message": "INTERRUPT Error", "line": None},
            "checks": [
                {"name": "c", "severity": "warn", "failures": 0, "error": "Binder Error: no x"},
                {"name": "d", "severity": "error", "failures": 2, "error": "", "seconds": 0.5},
            ],
        }
    )
    assert result.timed_out
    assert result.error == TaskError(ErrorKind.OTHER, "INTERRUPT Error", "InterruptException")
    assert result.checks == (
        CheckResult("c", "warn", error=TaskError(ErrorKind.OTHER, "Binder Error: no x")),
        CheckResult("d", "error", 2, seconds=0.5),
    )
