"""What the loop makes of an answer: the verdict and what was asked decide, no exception's class."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from addresses import duckdb_at
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.tasks import BuildTask, Query, ScriptTask
from dagster_models.execution.lookup import commit_of, settled_outcome
from dagster_models.execution.outcomes import lost_outcome
from dagster_models.execution.own_steps import OwnSteps
from dagster_models.execution.runners.events import Answered, Lost, Settled
from dagster_models.scheduling.states import Cause, Event, State


def steps_of(
    state: State, signal: bool = False, **running: object
) -> tuple[OwnSteps, deque[Event]]:
    """Our own steps with one of them in flight, and what they report to the plan. ``signal``: one
    to stop the run has come, which the loop has not looked for yet."""
    todo: deque[Event] = deque()
    run: Any = SimpleNamespace(plan=SimpleNamespace(state=lambda step: state), todo=todo)

    def asked_to_stop() -> bool:
        if signal:
            todo.append(Event(None, Cause.STOPPING))
        return signal

    steps = OwnSteps(run, on_interrupt=lambda: None, asked_to_stop=asked_to_stop)
    target_step = SimpleNamespace(project=SimpleNamespace(secrets=()))
    steps.running["s"] = SimpleNamespace(target_step=target_step, **running)  # type: ignore[assignment]
    return steps, todo


@pytest.mark.parametrize(
    ("state", "verdict", "cause"),
    [
        (State.CANCELING, Verdict.COMMITTED, Cause.COMMITTED),
        (State.CANCELING, Verdict.CANCELED, Cause.CANCELED),
        (State.CANCELING, Verdict.ROLLED_BACK, Cause.ROLLED_BACK),  # an error of its own
        (State.RUNNING, Verdict.CANCELED, Cause.ROLLED_BACK),  # we have not asked
    ],
)
def test_a_cancel_is_one_that_was_asked_for(state: State, verdict: Verdict, cause: Cause) -> None:
    steps, todo = steps_of(state)
    steps.on(Answered("s", Outcome("s", 1, verdict)))
    assert list(todo) == [Event("s", cause)]


@pytest.mark.parametrize("verdict", [Verdict.CANCELED, Verdict.ROLLED_BACK])
def test_a_signal_to_all_processes_cancels_what_it_ends_in_the_warehouse(verdict: Verdict) -> None:
    """The warehouse's answer came before the loop has looked for the signal: the plan hears of the
    signal first, and of a cancel then. An error of the step's own remains one."""
    steps, todo = steps_of(State.RUNNING, signal=True)
    steps.on(Answered("s", Outcome("s", 1, verdict)))
    canceled = [Event(None, Cause.STOPPING), Event("s", Cause.CANCELED)]
    failed = [Event("s", Cause.ROLLED_BACK)]
    assert list(todo) == (canceled if verdict is Verdict.CANCELED else failed)


@pytest.mark.parametrize(
    ("killed", "error", "event"),
    [
        (True, "", Event("s", Cause.CANCELED)),
        (False, "", Event("s", Cause.ROLLED_BACK)),
        # Its record cannot be read: "canceled" would claim that nothing was published.
        (True, "no answer", Event("s", Cause.ROLLED_BACK, final=True)),
        (False, "no answer", Event("s", Cause.ROLLED_BACK, final=True)),
    ],
)
def test_a_kill_is_a_cancel_where_it_is_known_that_nothing_was_published(
    killed: bool, error: str, event: Event
) -> None:
    task = BuildTask("run", "s", 1, Relation("main", "s"), Query("select 1"))
    outcome = lost_outcome("s", 1, "killed", 0.0)
    lost = Lost("s", "killed", killed)
    steps, todo = steps_of(State.IN_DOUBT, task=task, lost=lost, outcome=outcome)
    steps.on(Settled("s", False, error))
    assert list(todo) == [event]
    settled = steps.running["s"].outcome
    assert settled is not None
    assert settled.verdict is (Verdict.UNKNOWN if error else Verdict.ROLLED_BACK)
    assert settled.error is not None
    assert error in settled.error.message
    assert settled.error.final is bool(error)


def test_a_script_that_is_lost_has_failed() -> None:
    lost = Lost("s", "killed", killed=False)
    task = ScriptTask("run", "s", 1, LoadedFile("s.py"))
    settled = commit_of(lost, task, duckdb_at("nowhere.duckdb"))
    outcome = settled_outcome(lost_outcome("s", 1, "killed", 0.0), settled, task)
    assert outcome.verdict is Verdict.FAILED


def test_what_comes_late_from_a_worker_that_was_given_up_is_dropped() -> None:
    steps, todo = steps_of(State.RUNNING)
    steps.on(Answered("of an earlier time", Outcome("s", 1, Verdict.COMMITTED)))
    assert not todo
