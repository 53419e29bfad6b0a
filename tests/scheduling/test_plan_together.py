"""Events that come at one moment: nothing is lost, reported too late or done too early.

A plan that handles them together is compared with a twin that handles one after the other.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from test_plan_machine import LIMITS, MODES, REQUIREMENTS, Graph, graphs

from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.requirements import StepRequirements
from dagster_models.scheduling.states import (
    SLOT,
    AskPrevious,
    Cancel,
    Cause,
    Claim,
    Event,
    FailFast,
    Instruction,
    Report,
    ReportWait,
    Retry,
    Start,
    State,
)
from running import EXHAUSTIVE


def test_steps_that_end_at_one_moment_are_reported_after_the_next_were_started() -> None:
    plan = Plan({"a": (), "b": (), "c": (), "d": ()}, max_concurrent=2)
    plan.begin()
    assert plan.handle_all([Event("a", Cause.COMMITTED), Event("b", Cause.COMMITTED)]) == [
        Start("c", 1),
        Start("d", 1),
        Report("a", State.SUCCEEDED),
        Report("b", State.SUCCEEDED),
    ]


def test_a_step_starts_after_its_upstream_was_reported() -> None:
    plan = Plan({"a": (), "b": (), "c": ("a",), "d": ()}, max_concurrent=2)
    plan.begin()
    out = plan.handle_all([Event("a", Cause.COMMITTED), Event("b", Cause.ROLLED_BACK)])
    assert out == [
        Start("d", 1),
        Report("a", State.SUCCEEDED),
        Start("c", 1),
        Report("b", State.FAILED),
    ]


def test_a_step_that_waits_for_a_slot_does_not_part_two_reports() -> None:
    plan = Plan({"a": (), "b": (), "c": (), "d": (), "e": ("a",)}, max_concurrent=2)
    plan.begin()
    assert plan.handle_all([Event("a", Cause.COMMITTED), Event("b", Cause.COMMITTED)]) == [
        Start("c", 1),
        Start("d", 1),
        Report("a", State.SUCCEEDED),
        Report("b", State.SUCCEEDED),  # stored with the one before
        ReportWait("e", SLOT),
    ]


def test_a_step_just_started_is_canceled_before_anything_is_reported() -> None:
    graph = {"a": (), "b": (), "c": (), "d": ("a",)}
    requirements = {"c": StepRequirements(weight=0.0)}
    plan = Plan(graph, requirements, max_concurrent=3, fail_fast="true")
    plan.begin()
    out = plan.handle_all([Event("a", Cause.COMMITTED), Event("b", Cause.ROLLED_BACK)])
    assert out == [
        Cancel("c"),
        Report("a", State.SUCCEEDED),
        Start("d", 1),
        Report("b", State.FAILED),
        Cancel("d"),
    ]


ANSWERS: dict[type[Instruction], Cause] = {
    Start: Cause.COMMITTED,
    Claim: Cause.CLAIMED,
    Retry: Cause.DELAY_OVER,
    Cancel: Cause.CANCELED,
    AskPrevious: Cause.HAS_PREVIOUS,
}


@settings(max_examples=500 if EXHAUSTIVE else 150, deadline=None)
@given(graph=graphs(), data=st.data(), slots=st.integers(1, 6), fail_fast=st.sampled_from(MODES))
def test_together_is_one_after_the_other(
    graph: Graph, data: st.DataObject, slots: int, fail_fast: FailFast
) -> None:
    requirements = {step: data.draw(REQUIREMENTS, step) for step in graph}
    plan, twin = (
        Plan(graph, requirements, max_concurrent=slots, fail_fast=fail_fast, limits=LIMITS)
        for _ in range(2)
    )
    pending: dict[str, Cause] = {}  # by step: what will happen to it
    out, alone = plan.begin(), twin.begin()
    while True:
        for instruction in out:
            cause = ANSWERS.get(type(instruction))
            late = cause is Cause.CANCELED and plan.state(instruction.step) is not State.CANCELING
            if cause is not None and not late:  # else it has answered already
                pending[instruction.step] = cause
        if plan.is_complete:
            break
        together = data.draw(st.permutations(sorted(pending)))
        together = together[: data.draw(st.integers(1, len(together)))]
        events = []
        for step in together:
            cause = pending.pop(step)
            if cause is Cause.COMMITTED and data.draw(st.integers(0, 3)) == 0:
                cause = Cause.ROLLED_BACK
            events.append(Event(step, cause))
        out = plan.handle_all(events)
        plan.validate()
        alone = [it for event in events for it in twin.handle(event)]
        assert_same_but_for_the_order(graph, out, alone)


def assert_same_but_for_the_order(
    graph: Graph, out: list[Instruction], alone: list[Instruction]
) -> None:
    assert Counter(out) == Counter(alone)
    for step in {it.step for it in alone}:
        assert [it for it in out if it.step == step] == [it for it in alone if it.step == step]
    reported = [it for it in out if isinstance(it, (Report, Retry, Claim))]
    assert reported == [it for it in alone if isinstance(it, (Report, Retry, Claim))]
    reported_at = {it.step: at for at, it in enumerate(out) if isinstance(it, Report)}
    first = min((out.index(it) for it in reported), default=len(out))
    for at, it in enumerate(out):
        above = [reported_at[up] for up in graph[it.step] if up in reported_at]
        if isinstance(it, (Start, ReportWait)):
            assert max(above, default=-1) < at, "before its upstream was reported"
        if isinstance(it, Start):
            assert above or at < first, "kept waiting for nothing"
