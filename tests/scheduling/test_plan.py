"""The plan, example by example; test_plan_machine.py draws all other histories."""

from __future__ import annotations

import time

import pytest

from dagster_models.errors import InvalidTransition
from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.requirements import OutputName, StepRequirements
from dagster_models.scheduling.states import (
    FINAL,
    PATH_ENDS,
    SLOT,
    TRANSITIONS,
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


def drive(plan: Plan, *events: Event) -> list[Instruction]:
    out = list(plan.begin())
    for event in events:
        out += plan.handle(event)
        plan.validate()
    return out


DIAMOND = {"alpha": (), "beta_a": ("alpha",), "beta_b": ("alpha",), "gamma": ("beta_a", "beta_b")}


def test_heaviest_first_and_no_more_than_the_slots() -> None:
    requirements = {
        "x": StepRequirements(weight=1),
        "y": StepRequirements(weight=9),
        "z": StepRequirements(weight=1, priority=5),
    }
    plan = Plan({"x": (), "y": (), "z": ()}, requirements, max_concurrent=2)
    assert plan.begin() == [Start("z", 1), Start("y", 1), ReportWait("x", SLOT)]
    assert plan.handle(Event("y", Cause.COMMITTED)) == [Report("y", State.SUCCEEDED), Start("x", 1)]


def test_a_failure_skips_what_is_downstream_and_names_the_path() -> None:
    graph = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    out = drive(Plan(graph, max_concurrent=1), Event("a", Cause.ROLLED_BACK))
    assert Report("c", State.SKIPPED, "a", ("a", "b", "c")) in out
    assert out[-1] == Start("d", 1)


def test_a_long_path_has_its_ends_and_the_number_of_steps_between() -> None:
    """All of it, for each step of a long chain, would be a result of many megabytes."""
    steps = [f"s{number}" for number in range(2000)]
    graph = dict(zip(steps, [(), *((step,) for step in steps)], strict=False))
    out = drive(Plan(graph, max_concurrent=1), Event("s0", Cause.ROLLED_BACK))
    reports = {it.step: it for it in out if isinstance(it, Report)}
    assert reports["s5"] == Report("s5", State.SKIPPED, "s0", tuple(steps[:6]))
    assert (reports["s6"].path, reports["s6"].left_out) == (
        ("s0", "s1", "s2", "s4", "s5", "s6"),
        1,
    )
    last = reports["s1999"]
    assert last.path == ("s0", "s1", "s2", "s1997", "s1998", "s1999")
    assert len(last.path) + last.left_out == len(steps)
    assert max(len(report.path) for report in reports.values()) == 2 * PATH_ENDS


def test_fail_fast_cancels_what_is_in_flight() -> None:
    plan = Plan(DIAMOND, max_concurrent=2, fail_fast="true")
    out = drive(plan, Event("alpha", Cause.COMMITTED), Event("beta_a", Cause.ROLLED_BACK))
    assert out[-1] == Cancel("beta_b")
    assert plan.handle(Event("beta_b", Cause.CANCELED)) == [
        Report("beta_b", State.CANCELED, "beta_a")
    ]
    assert plan.is_complete


def test_a_commit_that_wins_the_race_against_the_cancel_succeeded() -> None:
    plan = Plan(DIAMOND, max_concurrent=2, fail_fast="true")
    drive(plan, Event("alpha", Cause.COMMITTED), Event("beta_a", Cause.ROLLED_BACK))
    assert plan.handle(Event("beta_b", Cause.COMMITTED)) == [Report("beta_b", State.SUCCEEDED)]


def test_drain_starts_nothing_and_lets_steps_in_flight_finish() -> None:
    graph = {**DIAMOND, "delta": ("beta_b",)}
    plan = Plan(graph, max_concurrent=2, fail_fast="drain")
    out = drive(plan, Event("alpha", Cause.COMMITTED), Event("beta_a", Cause.ROLLED_BACK))
    assert not [i for i in out if isinstance(i, Cancel)]
    assert plan.handle(Event("beta_b", Cause.COMMITTED)) == [Report("beta_b", State.SUCCEEDED)]
    assert plan.is_complete


def test_a_stopped_step_that_waits_for_its_next_attempt_has_failed() -> None:
    plan = Plan({"a": (), "b": ()}, {"a": StepRequirements(retries=1)}, max_concurrent=1)
    out = drive(plan, Event("a", Cause.ROLLED_BACK))
    assert Retry("a", 1) in out
    out = plan.handle(Event(None, Cause.STOPPING))
    assert Report("a", State.FAILED) in out
    assert plan.handle(Event("a", Cause.DELAY_OVER)) == []


def test_a_timeout_fails_the_step() -> None:
    plan = Plan({"a": (), "b": ("a",)}, max_concurrent=1)
    assert drive(plan, Event("a", Cause.TIMEOUT))[-1] == Cancel("a")
    out = plan.handle(Event("a", Cause.CANCELED))
    assert out[0] == Report("a", State.FAILED, timed_out=True)


def test_a_lost_step_that_published_nothing_is_tried_again() -> None:
    plan = Plan({"a": ()}, {"a": StepRequirements(retries=1)}, max_concurrent=1)
    drive(plan, Event("a", Cause.WORKER_LOST))
    assert plan.handle(Event("a", Cause.ROLLED_BACK))[0] == Retry("a", 1)


@pytest.mark.parametrize(
    ("before", "final"),
    [
        ((), True),  # its commit record cannot be read: it may be published
        ((Event("a", Cause.TIMEOUT),), False),  # it died while its timeout stopped it
        ((Event(None, Cause.STOPPING),), False),
    ],
)
def test_a_lost_step_is_not_always_tried_again(before: tuple[Event, ...], final: bool) -> None:
    plan = Plan({"a": ()}, {"a": StepRequirements(retries=1)}, max_concurrent=1)
    drive(plan, *before, Event("a", Cause.WORKER_LOST))
    out = plan.handle(Event("a", Cause.ROLLED_BACK, final=final))
    assert out == [Report("a", State.FAILED)]


def test_on_error_abort_holds_for_a_step_that_a_stop_gave_up() -> None:
    """The step waits for its next attempt when another failure drains the run: it has failed."""
    requirements = {"a": StepRequirements(retries=1, on_error="abort")}
    plan = Plan({"a": (), "b": (), "c": ()}, requirements, max_concurrent=3, fail_fast="drain")
    drive(plan, Event("a", Cause.ROLLED_BACK))
    out = plan.handle(Event("b", Cause.ROLLED_BACK))
    assert [i.step for i in out if isinstance(i, Report)] == ["b", "a"]
    assert out[-1] == Cancel("c")


def test_an_impossible_event_raises_with_the_story() -> None:
    plan = Plan({"a": ()}, max_concurrent=1)
    drive(plan, Event("a", Cause.COMMITTED))
    with pytest.raises(InvalidTransition, match=r"waiting --its last upstream succeeded--> ready"):
        plan.handle(Event("a", Cause.ROLLED_BACK))


def test_what_reads_a_step_that_is_left_alone_goes_on() -> None:
    plan = Plan({"a": (), "b": ("a",), "c": ("b",)}, max_concurrent=1)
    out = plan.begin(unchanged=["a"])
    assert out == [Report("a", State.UNCHANGED), Start("b", 1)]
    assert plan.attempt("a") == 0


def test_every_final_state_is_final() -> None:
    assert not [key for key in TRANSITIONS if key[0] in FINAL]


@pytest.mark.parametrize("shape", ["chain", "wide", "limited"])
def test_the_cost_of_10_000_steps_is_linear(shape: str) -> None:
    """Not a benchmark: a quadratic plan would take minutes here, a linear one takes 0.3 s."""
    size = 10_000
    graph = {f"s{i}": (f"s{i - 1}",) if i and shape == "chain" else () for i in range(size)}
    requirements = (
        {step: StepRequirements(labels=("one",)) for step in graph} if shape == "limited" else {}
    )
    began = time.process_time()
    plan = Plan(graph, requirements, max_concurrent=8, limits={"one": 1})
    todo = [i.step for i in plan.begin() if isinstance(i, Start)]
    while todo:
        for instruction in plan.handle(Event(todo.pop(), Cause.COMMITTED)):
            if isinstance(instruction, Start):
                todo.append(instruction.step)
    assert plan.is_complete
    assert time.process_time() - began < 10


def test_a_step_whose_pool_is_full_takes_no_slot_and_no_limit_from_others() -> None:
    requirements = {
        "a": StepRequirements(weight=9, pool="p", labels=("one",)),
        "b": StepRequirements(weight=5, labels=("one",)),
        "c": StepRequirements(weight=1),
    }
    plan = Plan({"a": (), "b": (), "c": ()}, requirements, max_concurrent=1, limits={"one": 1})
    assert plan.begin() == [
        Claim("a"),
        ReportWait("a", "pool p"),
        ReportWait("b", SLOT),
        ReportWait("c", SLOT),
    ]
    assert plan.handle(Event("a", Cause.BLOCKED)) == [Start("b", 1)]
    assert plan.handle(Event("a", Cause.CLAIMED)) == [ReportWait("a", SLOT)]
    assert plan.waits_for("a") == SLOT
    assert plan.handle(Event("b", Cause.COMMITTED)) == [Report("b", State.SUCCEEDED), Start("a", 1)]
    plan.validate()


def test_what_a_ready_step_waits_for_is_reported_when_it_changes() -> None:
    requirements = dict.fromkeys("abc", StepRequirements(labels=("one",)))
    plan = Plan(dict.fromkeys("abc", ()), requirements, max_concurrent=2, limits={"one": 1})
    assert plan.begin() == [Start("a", 1), ReportWait("b", "one"), ReportWait("c", "one")]
    assert plan.handle(Event("a", Cause.COMMITTED)) == [Report("a", State.SUCCEEDED), Start("b", 1)]
    plan.validate()


CHAIN = {"a": (), "b": ("a",), "c": ("b",), "other": ()}


def test_on_error_continue_builds_on_the_previous_version() -> None:
    plan = Plan(CHAIN, {"a": StepRequirements(on_error="continue")}, max_concurrent=2)
    out = drive(plan, Event("a", Cause.ROLLED_BACK))
    assert out[2:] == [Report("a", State.FAILED), AskPrevious("a")]
    assert plan.handle(Event("a", Cause.HAS_PREVIOUS)) == [Start("b", 1)]
    assert plan.built_on_previous("b") == ("a",)
    assert plan.handle(Event("b", Cause.COMMITTED)) == [Report("b", State.SUCCEEDED), Start("c", 1)]
    assert plan.built_on_previous("c") == ()


def test_on_error_continue_without_a_previous_version_skips_and_says_so() -> None:
    plan = Plan(CHAIN, {"a": StepRequirements(on_error="continue")}, max_concurrent=2)
    drive(plan, Event("a", Cause.ROLLED_BACK))
    assert plan.handle(Event("a", Cause.NO_PREVIOUS)) == [
        Report("b", State.SKIPPED, "a", ("a", "b"), no_previous=True),
        Report("c", State.SKIPPED, "a", ("a", "b", "c"), no_previous=True),
    ]


@pytest.mark.parametrize("fail_fast", ["true", "drain"])
def test_fail_fast_goes_before_on_error_continue(fail_fast: FailFast) -> None:
    requirements = {"a": StepRequirements(on_error="continue")}
    plan = Plan(CHAIN, requirements, max_concurrent=2, fail_fast=fail_fast)
    out = drive(plan, Event("a", Cause.ROLLED_BACK))
    assert Report("b", State.SKIPPED, "a", ("a", "b")) in out
    assert (Cancel("other") in out) == (fail_fast == "true")


@pytest.mark.parametrize("fail_fast", ["false", "true", "drain"])
def test_on_error_abort_stops_the_run_whatever_fail_fast_says(fail_fast: FailFast) -> None:
    requirements = {"a": StepRequirements(on_error="abort")}
    plan = Plan({**CHAIN, "third": ()}, requirements, max_concurrent=2, fail_fast=fail_fast)
    out = drive(plan, Event("a", Cause.ROLLED_BACK))
    assert Report("third", State.SKIPPED, "a") in out
    assert out[-1] == Cancel("other")


def test_a_stop_ends_the_wait_for_a_previous_version() -> None:
    plan = Plan(CHAIN, {"a": StepRequirements(on_error="continue")}, max_concurrent=2)
    drive(plan, Event("a", Cause.ROLLED_BACK), Event(None, Cause.STOPPING))
    assert plan.state("b") is State.SKIPPED
    assert plan.handle(Event("a", Cause.HAS_PREVIOUS)) == []
    plan.validate()


def test_while_one_step_waits_for_a_full_pool_the_others_wait_behind_it() -> None:
    requirements = {
        step: StepRequirements(weight=w, pool="p") for step, w in (("a", 3), ("b", 2), ("c", 1))
    }
    plan = Plan(dict.fromkeys("abc", ()), requirements, max_concurrent=1)
    assert plan.begin()[0] == Claim("a")
    assert plan.handle(Event("a", Cause.BLOCKED)) == [
        ReportWait("b", "pool p"),
        ReportWait("c", "pool p"),
    ]
    plan.validate()
    assert plan.handle(Event("a", Cause.CLAIMED)) == [Start("a", 1), ReportWait("b", SLOT)]
    plan.validate()
    assert plan.handle(Event("a", Cause.COMMITTED))[1] == Claim("b")
    plan.validate()


def test_a_step_that_fails_in_a_stopped_run_asks_for_no_previous_version() -> None:
    plan = Plan(CHAIN, {"a": StepRequirements(on_error="continue")}, max_concurrent=2)
    drive(plan, Event(None, Cause.STOPPING))
    assert plan.handle(Event("a", Cause.ROLLED_BACK)) == [Report("a", State.FAILED)]


def reads(*gates: str) -> StepRequirements:
    """A step that reads the output `o` of the steps in each word: one of them, or a fan-in."""
    return StepRequirements(
        gates=tuple(frozenset(OutputName(step, "o") for step in word) for word in gates)
    )


def withholds(step: str) -> Event:
    return Event(step, Cause.COMMITTED, frozenset((OutputName(step, "o"),)))


def test_what_reads_an_output_that_was_withheld_is_skipped_by_choice() -> None:
    plan = Plan(CHAIN, {"b": reads("a"), "c": reads("b")}, max_concurrent=2)
    out = drive(plan, withholds("a"))
    assert out[2:] == [
        Report("a", State.SUCCEEDED),
        Report("b", State.SKIPPED, "a", ("a", "b"), deliberate=True),
        Report("c", State.SKIPPED, "a", ("a", "b", "c"), deliberate=True),
    ]


FAN_IN = {"a": (), "b": ("a",), "c": (), "d": ("b", "c")}


def test_a_fan_in_goes_on_with_what_is_there() -> None:
    plan = Plan(FAN_IN, {"b": reads("a"), "d": reads("bc")}, max_concurrent=2)
    drive(plan, withholds("a"))
    assert plan.state("b") is State.SKIPPED
    assert Start("d", 1) in plan.handle(Event("c", Cause.COMMITTED))


def test_a_fan_in_of_which_nothing_is_there_is_skipped_by_choice() -> None:
    plan = Plan(FAN_IN, {"b": reads("a"), "d": reads("bc")}, max_concurrent=2)
    drive(plan, withholds("a"))
    report = Report("d", State.SKIPPED, "c", ("c", "d"), deliberate=True)
    assert report in plan.handle(withholds("c"))


def test_a_fan_in_with_a_failed_upstream_is_skipped_for_the_failure() -> None:
    plan = Plan(FAN_IN, {"b": reads("a"), "d": reads("bc")}, max_concurrent=2)
    drive(plan, withholds("a"))
    assert Report("d", State.SKIPPED, "c", ("c", "d")) in plan.handle(Event("c", Cause.ROLLED_BACK))


def test_a_choice_goes_before_a_failure_that_came_first() -> None:
    """Dagster writes STEP_SKIPPED then, so that a re-execution from failure leaves the step out."""
    graph = {"a": (), "b": (), "c": ("a", "b")}
    plan = Plan(graph, {"c": reads("a", "b")}, max_concurrent=2)
    drive(plan, Event("a", Cause.ROLLED_BACK))
    assert plan.state("c") is State.WAITING
    report = Report("c", State.SKIPPED, "b", ("b", "c"), deliberate=True)
    assert report in plan.handle(withholds("b"))


def test_a_failure_skips_once_no_choice_can_come_any_more() -> None:
    graph = {"a": (), "b": (), "c": ("a", "b")}
    plan = Plan(graph, {"c": reads("b")}, max_concurrent=2)
    drive(plan, Event("a", Cause.ROLLED_BACK))
    out = plan.handle(Event("b", Cause.COMMITTED))
    assert out == [Report("b", State.SUCCEEDED), Report("c", State.SKIPPED, "a", ("a", "c"))]


def test_the_first_steps_are_those_that_wait_for_nothing_but_a_slot() -> None:
    graph = {"a": (), "b": ("a",), "c": (), "d": (), "e": (), "f": ()}
    needs = {"c": StepRequirements(labels=("heavy",)), "d": StepRequirements(pool="p")}
    plan = Plan(graph, needs, max_concurrent=2, limits={"heavy": 1})
    assert plan.first() == ("a", "e")
