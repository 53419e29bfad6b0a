"""The plan against a warehouse of its own: what it reports must be what was committed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_models.core.plan import Needs, Plan
from dagster_models.core.states import (
    FINAL,
    RETRY_DELAY,
    SLOT,
    TRANSITIONS,
    AskWarehouse,
    Cancel,
    Cause,
    Claim,
    Event,
    Instruction,
    Report,
    Retry,
    Start,
    State,
    Wait,
)
from dagster_models.errors import InvalidTransition


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    size = draw(st.integers(0, 12))
    return {
        f"s{i}": tuple(f"s{j}" for j in sorted(draw(st.sets(st.integers(0, i - 1))))) if i else ()
        for i in range(size)
    }


@st.composite
def needs_of(draw: st.DrawFn) -> Needs:
    return Needs(
        weight=draw(st.floats(0, 100)),
        priority=draw(st.integers(-1, 1)),
        retries=draw(st.integers(0, 2)),
        labels=tuple(sorted(draw(st.sets(st.sampled_from("ab"))))),
        pool=draw(st.sampled_from([None, "p"])),
    )


class World:
    """A warehouse and workers that know by themselves what was started and committed."""

    def __init__(self, data: st.DataObject) -> None:
        graph = data.draw(graphs())
        self.data = data
        self.graph = graph
        self.needs = {step: data.draw(needs_of()) for step in graph}
        self.fail_fast = data.draw(st.sampled_from(["false", "true", "drain"]))
        self.slots = data.draw(st.integers(1, 4))
        self.limits = {"a": 1, "b": 2}
        self.plan = Plan(
            graph,
            self.needs,
            max_concurrent=self.slots,
            fail_fast=self.fail_fast,
            limits=self.limits,
        )
        self.running: set[str] = set()
        self.asked_to_stop: set[str] = set()
        self.lost: set[str] = set()
        self.claiming: set[str] = set()
        self.blocked: set[str] = set()
        self.waits: dict[str, str] = {}
        self.delayed: set[str] = set()
        self.committed: set[str] = set()
        self.withheld: set[str] = set()
        self.attempts: dict[str, int] = dict.fromkeys(graph, 0)
        self.reports: dict[str, Report] = {}
        self.stopped_at: int | None = None

    def carry_out(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            step = instruction.step
            if isinstance(instruction, Start):
                assert set(self.graph[step]) <= self.committed, "started before its upstreams"
                assert self.stopped_at is None, "started after the stop"
                assert step not in self.committed, "ran again after its commit"
                self.running.add(step)
                self.waits.pop(step, None)
                self.attempts[step] += 1
                assert instruction.attempt == self.attempts[step] <= self.needs[step].retries + 1
            elif isinstance(instruction, Claim):
                self.claiming.add(step)
            elif isinstance(instruction, Wait):
                assert step not in self.running
                assert self.waits.get(step) != instruction.reason, "told twice"
                self.waits[step] = instruction.reason
            elif isinstance(instruction, Cancel):
                assert step in self.running
                self.asked_to_stop.add(step)
            elif isinstance(instruction, AskWarehouse):
                self.lost.add(step)
            elif isinstance(instruction, Retry):
                self.delayed.add(step)
            else:
                assert step not in self.reports, "reported twice"
                self.reports[step] = instruction
                self.waits.pop(step, None)
                failed = instruction.state is State.FAILED
                if failed and self.fail_fast != "false" and self.stopped_at is None:
                    self.stopped_at = len(self.reports)
        assert len(self.running) <= self.slots
        for label, limit in self.limits.items():
            assert sum(label in self.needs[s].labels for s in self.running) <= limit
        self.plan.validate()
        self.check_waits()

    def check_waits(self) -> None:
        """Whoever is ready is told to wait, for what really holds it back."""
        for step, reads in self.graph.items():
            idle = step not in self.running | self.lost and step not in self.reports
            assert (step in self.waits) == (idle and set(reads) <= self.committed), step
        for step, reason in self.waits.items():
            if reason == RETRY_DELAY:
                assert step in self.delayed
            elif reason == "pool p":
                assert self.needs[step].pool == "p"
                assert step in self.claiming | self.blocked
            elif reason == SLOT:
                assert len(self.running) == self.slots or self.claiming
            else:
                assert reason in self.needs[step].labels
                # What has its place under the limit already, but waits for a slot, holds it.
                others = self.running | {s for s, why in self.waits.items() if why == SLOT}
                using = sum(reason in self.needs[s].labels for s in others)
                assert using >= self.limits[reason], f"{step} waits for {reason} in vain"

    def moves(self) -> list[tuple[str | None, Cause]]:
        out: list[tuple[str | None, Cause]] = []
        for step in sorted(self.running):
            out += [(step, Cause.COMMITTED), (step, Cause.ROLLED_BACK), (step, Cause.WORKER_LOST)]
            out.append((step, Cause.TIMEOUT))
            if step in self.asked_to_stop:
                out.append((step, Cause.CANCELED))
        for step in sorted(self.lost):
            out += [(step, Cause.COMMITTED), (step, Cause.ROLLED_BACK)]
        out += [(step, Cause.CLAIMED) for step in sorted(self.claiming | self.blocked)]
        out += [(step, Cause.BLOCKED) for step in sorted(self.claiming)]
        out += [(step, Cause.DELAY_OVER) for step in sorted(self.delayed)]
        return out

    def step_once(self) -> None:
        if self.data.draw(st.integers(0, 20)) == 0:
            self.stopped_at = self.stopped_at or 0
            self.carry_out(self.plan.handle(Event(None, Cause.STOPPING)))
            return
        moves = self.moves()
        assert moves, "nothing can happen any more, but the plan is not complete"
        step, cause = self.data.draw(st.sampled_from(moves))
        assert step is not None
        withheld: frozenset[str] = frozenset()
        if cause is Cause.TIMEOUT:
            self.carry_out(self.plan.handle(Event(step, cause)))
            return
        if cause is Cause.COMMITTED:
            self.committed.add(step)
            below = sorted(d for d, up in self.graph.items() if step in up)
            if below and self.data.draw(st.integers(0, 5)) == 0:
                withheld = frozenset(below[:1])
                self.withheld |= withheld
        for place in (self.running, self.lost, self.claiming, self.blocked, self.delayed):
            place.discard(step)
        if cause is Cause.BLOCKED:
            self.blocked.add(step)
        if cause is Cause.WORKER_LOST:
            pass
        elif cause not in (Cause.CLAIMED, Cause.BLOCKED, Cause.DELAY_OVER):
            self.asked_to_stop.discard(step)
        self.carry_out(self.plan.handle(Event(step, cause, withheld)))


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_any_history_reports_what_the_warehouse_holds(data: st.DataObject) -> None:
    world = World(data)
    world.carry_out(world.plan.begin())
    while not world.plan.is_complete:
        world.step_once()
    assert set(world.reports) == set(world.graph)
    for step, report in world.reports.items():
        assert (report.state is State.SUCCEEDED) == (step in world.committed)
        assert (report.state is State.SKIPPED) == (world.attempts[step] == 0)
        if report.path:
            assert report.path[0] == report.cause
            assert report.path[-1] == step
            for upstream, downstream in zip(report.path, report.path[1:], strict=False):
                assert upstream in world.graph[downstream]
            cause = world.reports[report.path[0]]
            if not set(report.path) & world.withheld:
                assert cause.state in (State.FAILED, State.CANCELED)
        if report.state is State.SKIPPED and not world.plan.stopping:
            assert report.path, "a skip without its cause"


def drive(plan: Plan, *events: Event) -> list[Instruction]:
    out = list(plan.begin())
    for event in events:
        out += plan.handle(event)
        plan.validate()
    return out


DIAMOND = {"alpha": (), "beta_a": ("alpha",), "beta_b": ("alpha",), "gamma": ("beta_a", "beta_b")}


def test_heaviest_first_and_no_more_than_the_slots() -> None:
    needs = {"x": Needs(weight=1), "y": Needs(weight=9), "z": Needs(weight=1, priority=5)}
    plan = Plan({"x": (), "y": (), "z": ()}, needs, max_concurrent=2)
    assert plan.begin() == [Start("z", 1), Start("y", 1), Wait("x", SLOT)]
    assert plan.handle(Event("y", Cause.COMMITTED)) == [Report("y", State.SUCCEEDED), Start("x", 1)]


def test_a_failure_skips_what_is_downstream_and_names_the_path() -> None:
    graph = {"a": (), "b": ("a",), "c": ("b",), "d": ()}
    out = drive(Plan(graph, max_concurrent=1), Event("a", Cause.ROLLED_BACK))
    assert Report("c", State.SKIPPED, "a", ("a", "b", "c")) in out
    assert out[-1] == Start("d", 1)


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


def test_drain_lets_in_flight_finish_and_starts_nothing() -> None:
    graph = {**DIAMOND, "delta": ("beta_b",)}
    plan = Plan(graph, max_concurrent=2, fail_fast="drain")
    out = drive(plan, Event("alpha", Cause.COMMITTED), Event("beta_a", Cause.ROLLED_BACK))
    assert not [i for i in out if isinstance(i, Cancel)]
    assert plan.handle(Event("beta_b", Cause.COMMITTED)) == [Report("beta_b", State.SUCCEEDED)]
    assert plan.is_complete


def test_a_stopped_step_that_waits_for_its_next_attempt_has_failed() -> None:
    plan = Plan({"a": (), "b": ()}, {"a": Needs(retries=1)}, max_concurrent=1)
    out = drive(plan, Event("a", Cause.ROLLED_BACK))
    assert Retry("a", 1, 0.0) in out
    out = plan.handle(Event(None, Cause.STOPPING))
    assert Report("a", State.FAILED) in out
    assert plan.handle(Event("a", Cause.DELAY_OVER)) == []


def test_a_timeout_fails_the_step() -> None:
    plan = Plan({"a": (), "b": ("a",)}, max_concurrent=1)
    assert drive(plan, Event("a", Cause.TIMEOUT))[-1] == Cancel("a")
    out = plan.handle(Event("a", Cause.CANCELED))
    assert out[0] == Report("a", State.FAILED, timed_out=True)


def test_an_impossible_event_tells_the_story() -> None:
    plan = Plan({"a": ()}, max_concurrent=1)
    drive(plan, Event("a", Cause.COMMITTED))
    with pytest.raises(InvalidTransition, match=r"waiting --its last upstream succeeded--> ready"):
        plan.handle(Event("a", Cause.ROLLED_BACK))


def test_every_final_state_is_final() -> None:
    assert not [key for key in TRANSITIONS if key[0] in FINAL]


@pytest.mark.parametrize("shape", ["chain", "wide", "limited"])
def test_the_cost_of_10_000_steps_is_linear(shape: str) -> None:
    """Not a benchmark: a quadratic plan would need minutes here, a linear one 0.3 s."""
    size = 10_000
    graph = {f"s{i}": (f"s{i - 1}",) if i and shape == "chain" else () for i in range(size)}
    needs = {step: Needs(labels=("one",)) for step in graph} if shape == "limited" else {}
    began = time.process_time()
    plan = Plan(graph, needs, max_concurrent=8, limits={"one": 1})
    todo = [i.step for i in plan.begin() if isinstance(i, Start)]
    while todo:
        for instruction in plan.handle(Event(todo.pop(), Cause.COMMITTED)):
            if isinstance(instruction, Start):
                todo.append(instruction.step)
    assert plan.is_complete
    assert time.process_time() - began < 10


def test_a_step_whose_pool_is_full_keeps_no_slot_and_no_limit_from_others() -> None:
    needs = {
        "a": Needs(weight=9, pool="p", labels=("one",)),
        "b": Needs(weight=5, labels=("one",)),
        "c": Needs(weight=1),
    }
    plan = Plan({"a": (), "b": (), "c": ()}, needs, max_concurrent=1, limits={"one": 1})
    assert plan.begin() == [Claim("a"), Wait("a", "pool p"), Wait("b", SLOT), Wait("c", SLOT)]
    assert plan.handle(Event("a", Cause.BLOCKED)) == [Start("b", 1)]
    assert plan.handle(Event("a", Cause.CLAIMED)) == [Wait("a", SLOT)]
    assert plan.waits_for("a") == SLOT
    assert plan.handle(Event("b", Cause.COMMITTED)) == [Report("b", State.SUCCEEDED), Start("a", 1)]
    plan.validate()


def test_what_a_ready_step_waits_for_is_told_when_it_changes() -> None:
    needs = dict.fromkeys("abc", Needs(labels=("one",)))
    plan = Plan(dict.fromkeys("abc", ()), needs, max_concurrent=2, limits={"one": 1})
    assert plan.begin() == [Start("a", 1), Wait("b", "one"), Wait("c", "one")]
    assert plan.handle(Event("a", Cause.COMMITTED)) == [Report("a", State.SUCCEEDED), Start("b", 1)]
    plan.validate()
