"""What the loop makes of an answer: the verdict and what was asked decide, no exception's class."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest

from dagster_models.core.messages import Outcome, Verdict
from dagster_models.execution.events import Settled
from dagster_models.execution.loop import Run
from dagster_models.reporting.reporter import lost_outcome
from dagster_models.scheduling.states import Cause, Event, State


@pytest.mark.parametrize(
    ("state", "verdict", "cause"),
    [
        (State.CANCELING, Verdict.COMMITTED, Cause.COMMITTED),
        (State.CANCELING, Verdict.CANCELED, Cause.CANCELED),
        (State.CANCELING, Verdict.ROLLED_BACK, Cause.ROLLED_BACK),  # an error of its own
        (State.RUNNING, Verdict.CANCELED, Cause.ROLLED_BACK),  # nobody of ours has asked
    ],
)
def test_a_cancel_is_one_that_was_asked_for(state: State, verdict: Verdict, cause: Cause) -> None:
    loop = SimpleNamespace(plan=SimpleNamespace(state=lambda step: state))
    assert Run._cause_of(loop, "s", Outcome("s", 1, verdict)) is cause  # type: ignore[arg-type]


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
    loop = SimpleNamespace(_todo=deque())
    flight = SimpleNamespace(killed=killed, outcome=lost_outcome("s", 1, "killed", 0.0))
    Run._settled(loop, Settled("s", False, error), flight)  # type: ignore[arg-type]
    assert list(loop._todo) == [event]
    assert error in flight.outcome.error.message
