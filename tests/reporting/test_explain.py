"""Why a run took as long as it did: on a journal made by hand, on any journal, on a real run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from hypothesis import given

import paths
from dagster_models.cli.main import main as cli
from dagster_models.errors import DagsterModelsError
from dagster_models.reporting.explain import Explanation, Span, WaitTotal, explain
from dagster_models.reporting.explain_text import run_lines, step_lines
from dagster_models.reporting.journal import (
    Journal,
    JournalContents,
    RunEnd,
    find_journal,
    read_journal,
)
from dagster_models.reporting.results import ResultState, RunHeader, StepResult, totals
from dagster_models.util.durations import rounded
from results_examples import BROKEN, HEADER, runs, sql
from running import make_project

TEXTS = paths.DATA / "explain"
BEGAN = 1_700_000_000.0


def step(name: str, state: ResultState, ready: float | None, end: float, **more: Any) -> StepResult:
    """A result; the moments are seconds since the run began."""
    ready_at = None if ready is None else BEGAN + ready
    return sql(name, state, ready_at=ready_at, ended_at=BEGAN + end, **more)


#: Two slots; at 6 s staging.b fails and stops the run.
#:
#:     staging.a  0.5 ===== 3.5
#:     staging.b  0.5 - retry delay 1 s - ====== 6.0 failed
#:     marts.c        3.5 - 1.5 for a slot, pool of 1 - ==== 6.2 canceled   reads a
#:     marts.d        3.5 ============= 6.3                                 reads a
#:     marts.e        skipped, reads b
#:     marts.f        skipped, reads d
FAILURE = [
    step("staging.a", "succeeded", 0.5, 3.5, rows=1200),
    step(
        *("staging.b", "failed", 0.5, 6.0),
        waited={"retry delay": 1.0},
        attempt=2,
        error=BROKEN,
    ),
    step(
        "marts.e",
        "skipped",
        None,
        6.0,
        cause="staging.b",
        cause_state="failed",
        path=("staging.b", "marts.e"),
    ),
    step("marts.f", "skipped", None, 6.1, cause="staging.b", cause_state="failed"),
    step(
        *("marts.c", "canceled", 3.5, 6.2),
        waited={"slot": 0.5, "pool duckdb": 1.0},
        cause="staging.b",
    ),
    step("marts.d", "succeeded", 3.5, 6.25),
]
FAILURE_HEADER = RunHeader(
    "7f3c",
    "flights",
    "dev",
    BEGAN,
    ("staging.a", "staging.b", "marts.c", "marts.d", "marts.e", "marts.f", "marts.g"),
    "0.1.0",
    slots=2,
    upstream={
        "marts.c": ("staging.a",),
        "marts.d": ("staging.a",),
        "marts.e": ("staging.b",),
        "marts.f": ("marts.d",),
    },
)


def explained(
    folder: Path, header: RunHeader, results: Sequence[StepResult], seconds: float | None
) -> Explanation:
    """The explanation by way of the file, as the command finds it."""
    with Journal(folder, header) as journal:
        for result in results:
            journal.step(result)
        if seconds is not None:
            journal.end("failure", results, seconds)
    explanation = explain(read_journal(journal.path))
    assert explanation is not None
    return explanation


def test_a_run_that_failed(tmp_path: Path) -> None:
    explanation = explained(tmp_path, FAILURE_HEADER, FAILURE, 6.5)
    assert explanation.critical_path == (
        Span("staging.a", "succeeded", 0.5, 3.5, None, 0.5, {}, 3.0),
        Span("marts.d", "succeeded", 3.5, 6.25, "staging.a", 0.0, {}, 2.75),
    )
    assert explanation.waits == (
        WaitTotal("retry delay", 1, 1.0),
        WaitTotal("pool duckdb", 1, 1.0),
        WaitTotal("slot", 1, 0.5),
    )
    assert explanation.shortest_seconds == explanation.path_seconds == pytest.approx(5.75)
    assert explanation.busy_seconds == pytest.approx(3.0 + 4.5 + 1.2 + 2.75)
    assert explanation.idle_seconds == pytest.approx(13.0 - 11.45)
    assert explanation.idle_share == pytest.approx(1.55 / 13)
    assert [(w.step, w.why) for w in explanation.wasted] == [
        ("staging.b", "failed"),
        ("marts.d", "unused"),
        ("marts.c", "canceled"),
    ]
    assert explanation.wasted_seconds == pytest.approx(4.5 + 2.75 + 1.2)
    assert explanation.unfinished == ("marts.g",)


def test_the_exact_text(tmp_path: Path) -> None:
    explanation = explained(tmp_path, FAILURE_HEADER, FAILURE, 6.5)
    lines = run_lines(explanation, FAILURE_HEADER)
    for result in FAILURE:
        lines += ["", *step_lines(explanation, result, FAILURE_HEADER)]
    text = "\n".join(lines) + "\n"
    assert text == (TEXTS / "failure.txt").read_text()


def test_the_critical_path_follows_what_each_step_waited_for(tmp_path: Path) -> None:
    """It is not the heaviest path: c reads a and b, and b, which is quick, came late."""
    header = replace(FAILURE_HEADER, steps=("s.a", "s.b", "s.c"), upstream={"s.c": ("s.a", "s.b")})
    results = [
        step("s.a", "succeeded", 0.0, 5.0),
        step("s.b", "succeeded", 0.0, 6.0, waited={"slot": 5.0}),
        step("s.c", "succeeded", 6.1, 7.0),
    ]
    explanation = explained(tmp_path, header, results, 7.0)
    assert [span.step for span in explanation.critical_path] == ["s.b", "s.c"]
    assert explanation.critical_path[1].delay_seconds == pytest.approx(0.1)
    assert explanation.path_seconds == pytest.approx(1.9)
    assert explanation.shortest_seconds == pytest.approx(5.9)
    assert explanation.wasted == ()


def test_a_run_that_was_killed_is_explained_as_far_as_it_got(tmp_path: Path) -> None:
    explanation = explained(tmp_path, FAILURE_HEADER, FAILURE[:1], None)
    assert (explanation.status, explanation.seconds) == (None, 3.5)
    assert len(explanation.unfinished) == 6
    assert "not ended" in run_lines(explanation, FAILURE_HEADER)[0]


def test_a_resumed_run_counts_from_its_own_start(tmp_path: Path) -> None:
    explained(tmp_path, FAILURE_HEADER, FAILURE[:1], None)
    header = replace(FAILURE_HEADER, started_at=BEGAN + 100)
    explanation = explained(tmp_path, header, [step("marts.d", "succeeded", 101.0, 103.0)], 4.0)
    assert list(explanation.spans) == ["marts.d"]
    assert explanation.critical_path[0].delay_seconds == pytest.approx(1.0)
    assert "staging.a" not in explanation.unfinished


@given(run=runs)
def test_no_journal_breaks_it(run: list[StepResult]) -> None:
    """It is explained at the end of every run, which must not break because of that."""
    header = replace(HEADER, steps=tuple(r.step for r in run))
    header = replace(header, upstream={b.step: (a.step,) for a, b in pairwise(run)})
    explanation = explain(JournalContents(header, tuple(run), RunEnd("success", totals(run), 1.0)))
    assert explanation is not None
    assert 0.0 <= explanation.idle_share <= 1.0
    assert all(
        span.flight_seconds >= 0.0 <= span.delay_seconds for span in explanation.spans.values()
    )
    json.dumps(run_lines(explanation, header))
    for result in run:
        step_lines(explanation, result, header)


def test_a_journal_is_found_by_the_beginning_of_its_run_id(tmp_path: Path) -> None:
    for run_id in ("abc", "abd", "ab"):
        with Journal(tmp_path, replace(HEADER, run_id=run_id)):
            pass
    assert find_journal(tmp_path, "abc").stem == "abc"
    assert find_journal(tmp_path, "ab").stem == "ab"
    with pytest.raises(DagsterModelsError, match="several run ids begin with 'a': ab, abc, abd"):
        find_journal(tmp_path, "a")
    with pytest.raises(DagsterModelsError, match="no run whose id begins with 'x'"):
        find_journal(tmp_path, "x")


@pytest.mark.slow
def test_a_real_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One slot, two branches: the command, the journal and Dagster's event log agree."""
    project = make_project(
        tmp_path,
        {
            "models/staging/orders.sql": "select 1 as id",
            "models/staging/clients.sql": "select 1 as id",
            "models/marts/totals.sql": "select count(*) as n from orders",
            "models/marts/bad.sql": "select error('no') as n from clients",
            "models/marts/worse.sql": "select * from bad",
        },
    )
    assert project.run({"max_concurrent": 1}).code == 1
    path = find_journal(project.root / "target")
    contents = read_journal(path)
    explanation = explain(contents)
    assert explanation is not None
    assert contents.header is not None
    assert (explanation.status, explanation.slots) == ("failure", 1)
    assert {span.step for span in explanation.spans.values()} == {
        "staging.orders",
        "staging.clients",
        "marts.totals",
        "marts.bad",
    }
    # One slot: the path's waits, delays and flights are the whole time until its end.
    assert [wait.reason for wait in explanation.waits] == ["slot"]
    last = explanation.critical_path[-1]
    parts = [
        s.delay_seconds + sum(s.waited.values()) + s.flight_seconds
        for s in explanation.critical_path
    ]
    assert sum(parts) == pytest.approx(last.end)
    assert last.end == max(span.end for span in explanation.spans.values()) <= explanation.seconds
    assert (
        explanation.path_seconds
        <= explanation.shortest_seconds
        <= explanation.busy_seconds
        <= explanation.seconds
    )
    assert {waste.step: waste.why for waste in explanation.wasted} == {
        "marts.bad": "failed",
        "staging.clients": "unused",
    }

    assert cli(["--project", str(project.root), "explain", "--steps"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("\n".join(run_lines(explanation, contents.header)))
    assert text.count("is on the critical path") == len(explanation.critical_path)
    command = ["--project", str(project.root), "explain", contents.header.run_id[:9], "worse"]
    assert cli(command) == 0
    assert "upstream marts.bad failed" in capsys.readouterr().out

    with DagsterInstance.from_config(str(project.home)) as instance:
        events = [entry.dagster_event for entry in instance.all_logs(contents.header.run_id)]
    (metadata,) = [
        event.event_specific_data.metadata
        for event in events
        if event is not None
        and event.event_type_value == "ENGINE_EVENT"
        and "dagster_models/critical_path" in event.event_specific_data.metadata
    ]
    numbers = {name.partition("/")[2]: value.value for name, value in metadata.items()}
    assert numbers["critical_path"] == [span.step for span in explanation.critical_path]
    assert numbers["critical_path_seconds"] == rounded(explanation.path_seconds)
    assert numbers["idle_share"] == pytest.approx(explanation.idle_share, abs=0.05)
    assert numbers["waited_seconds"] == {w.reason: rounded(w.seconds) for w in explanation.waits}
    assert numbers["wasted_seconds"] == rounded(explanation.wasted_seconds)
