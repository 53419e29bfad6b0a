"""What the loop makes of an answer: the verdict and what was asked decide, no exception's class."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.states import Cause, State
from dagster_models.loop import Run


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
