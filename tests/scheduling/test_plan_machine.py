"""Any history of any graph: the plan is checked against a world that keeps its own books.

Hypothesis draws a graph, its limits and a history, one event at a time: answers, timeouts, workers
lost before, during and after their commit, pools, delays, stops. The fake warehouse knows what it
committed, and the world knows what it was asked to start; neither asks the plan. After each event
the plan's bookkeeping must be consistent (``validate``), no slot may idle while a step could use
it, and each report must match what the warehouse holds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dagster_models.errors import InvalidTransition
from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.requirements import OutputName, StepRequirements
from dagster_models.scheduling.states import (
    FINAL,
    PATH_ENDS,
    RETRY_DELAY,
    SERVED,
    SLOT,
    TRANSITIONS,
    AskPrevious,
    AskWarehouse,
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

Graph: TypeAlias = dict[str, tuple[str, ...]]

LIMITS = {"a": 1, "b": 2}
MODES: tuple[FailFast, ...] = ("false", "true", "drain")


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    size = draw(st.integers(1, 10))
    return {
        f"s{i}": tuple(f"s{j}" for j in sorted(draw(st.sets(st.integers(0, i - 1), max_size=3))))
        if i
        else ()
        for i in range(size)
    }


REQUIREMENTS = st.builds(
    StepRequirements,
    weight=st.sampled_from([0.0, 1.0, 2.5, 100.0]),
    priority=st.sampled_from([0, 0, 0, -1, 1]),
    retries=st.sampled_from([0, 0, 1, 2]),
    on_error=st.sampled_from(["skip_downstream", "skip_downstream", "continue", "abort"]),
    labels=st.sampled_from([(), (), ("a",), ("b",), ("a", "b")]),
    pool=st.sampled_from([None, None, "p"]),
)


@st.composite
def gates(draw: st.DrawFn, upstream: tuple[str, ...]) -> tuple[frozenset[OutputName], ...]:
    """How a step reads its upstreams: some in a fan-in, the others by an input of their own."""
    outputs = [OutputName(step, draw(st.sampled_from("pq"))) for step in upstream]
    if not outputs or draw(st.integers(0, 2)):
        return ()
    fan_in = draw(st.sets(st.sampled_from(outputs)))
    single = draw(st.sets(st.sampled_from(outputs))) - fan_in
    return tuple(filter(None, (frozenset(fan_in), *(frozenset((it,)) for it in single))))


@dataclass
class FakeWarehouse:
    """Transactions by (step, attempt): the open ones, and those that were committed."""

    open: set[tuple[str, int]] = field(default_factory=set)
    records: set[tuple[str, int]] = field(default_factory=set)

    def end(self, key: tuple[str, int], commits: bool) -> None:
        self.open.discard(key)
        if commits:
            self.records.add(key)

    def holds(self, step: str) -> bool:
        return any(name == step for name, _ in self.records)


SERVED_IN_ORDER = (State.SUCCEEDED, State.UNCHANGED)


class PlanMachine(RuleBasedStateMachine):
    """The executor's part, played by chance.

    ``asked`` holds why a running step was asked to stop; ``expected`` holds the state that must be
    reported for a step, by what happened to it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.graph: Graph = {}

    @initialize(
        graph=graphs(), data=st.data(), slots=st.integers(1, 4), fail_fast=st.sampled_from(MODES)
    )
    def a_run(self, graph: Graph, data: st.DataObject, slots: int, fail_fast: FailFast) -> None:
        self.graph, self.slots, self.fail_fast = graph, slots, fail_fast
        self.requirements = {
            step: replace(data.draw(REQUIREMENTS, step), gates=data.draw(gates(upstream), step))
            for step, upstream in graph.items()
        }
        self.plan = Plan(
            graph, self.requirements, max_concurrent=slots, fail_fast=fail_fast, limits=LIMITS
        )
        self.warehouse = FakeWarehouse()
        self.running: dict[str, int] = {}
        self.asked: dict[str, Cause] = {}
        self.lost: dict[str, int] = {}
        self.claiming: set[str] = set()
        self.claimed: set[str] = set()
        self.blocked: set[str] = set()
        self.delayed: set[str] = set()
        self.waits: dict[str, str] = {}
        self.withheld: set[OutputName] = set()
        self.attempts = dict.fromkeys(graph, 0)
        self.expected: dict[str, State] = {}
        self.timed_out: set[str] = set()
        self.reports: dict[str, Report] = {}
        self.stopped = self.canceling = False
        self.looking_up: set[str] = set()  # failed steps whose previous version is looked for
        self.kept: set[str] = set()
        self.no_previous: set[str] = set()
        self.already_committed(data)
        found, unchanged = (
            [step for step, it in self.expected.items() if it is state] for state in SERVED_IN_ORDER
        )
        given = dict(self.expected)
        self.carry_out(self.plan.begin(found, unchanged))
        assert {step: self.reports[step].state for step in self.found} == given

    def already_committed(self, data: st.DataObject) -> None:
        """Steps that an earlier run committed, or that are left alone, each with all upstreams."""
        self.found: set[str] = set()
        if data.draw(st.integers(0, 3)) == 0:
            for step, upstream in self.graph.items():
                if set(upstream) <= self.found and data.draw(st.booleans()):
                    self.found.add(step)
                    self.warehouse.records.add((step, 0))
                    self.expected[step] = data.draw(st.sampled_from(SERVED_IN_ORDER))

    @precondition(lambda self: self.plan.is_complete)
    @rule(graph=graphs(), data=st.data(), slots=st.integers(1, 4), fail_fast=st.sampled_from(MODES))
    def another_run(
        self, graph: Graph, data: st.DataObject, slots: int, fail_fast: FailFast
    ) -> None:
        self.compare()
        self.a_run(graph, data, slots, fail_fast)

    # -- what the plan says ----------------------------------------------------------------------

    def send(self, event: Event) -> None:
        self.carry_out(self.plan.handle(event))

    def carry_out(self, instructions: Sequence[Instruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Start):
                self.start(instruction)
            elif isinstance(instruction, Claim):
                assert self.requirements[instruction.step].pool
                assert instruction.step not in self.claimed | self.claiming | self.blocked
                self.claiming.add(instruction.step)
            elif isinstance(instruction, ReportWait):
                assert self.waits.get(instruction.step) != instruction.reason, "reported twice"
                self.waits[instruction.step] = instruction.reason
            elif isinstance(instruction, Cancel):
                assert instruction.step in self.running
                assert instruction.step in self.asked or self.canceling
                self.asked.setdefault(instruction.step, Cause.STOPPING)
            elif isinstance(instruction, AskWarehouse):
                assert instruction.step in self.lost
            elif isinstance(instruction, AskPrevious):
                assert not self.stopped
                assert self.reports[instruction.step].state is State.FAILED
                assert self.requirements[instruction.step].on_error == "continue"
                self.looking_up.add(instruction.step)
            elif isinstance(instruction, Retry):
                self.retry(instruction)
            else:
                self.report(instruction)

    def start(self, start: Start) -> None:
        step = start.step
        assert self.may_run(step), "before its upstreams, or without what it reads"
        stale = tuple(up for up in self.graph[step] if up in self.kept)
        assert self.plan.built_on_previous(step) == stale
        assert not self.stopped, "started after the stop"
        assert step not in self.found, "an earlier run has committed it"
        assert step not in self.reports, "ran again after its report"
        assert step not in self.delayed, "its delay is not over"
        assert not self.requirements[step].pool or step in self.claimed, (
            "without a slot of its pool"
        )
        for other in self.startable():
            assert self.order(other) >= self.order(step), f"{other} is heavier than {step}"
        self.waits.pop(step, None)
        self.attempts[step] += 1
        assert start.attempt == self.attempts[step] <= self.requirements[step].retries + 1
        self.running[step] = start.attempt
        self.warehouse.open.add((step, start.attempt))

    def retry(self, retry: Retry) -> None:
        assert not self.stopped
        assert retry.attempt == self.attempts[retry.step] <= self.requirements[retry.step].retries
        assert self.expected.pop(retry.step) is State.READY
        self.claimed.discard(retry.step)
        self.delayed.add(retry.step)

    def report(self, report: Report) -> None:
        step = report.step
        assert step not in self.reports, "reported twice"
        assert step not in self.running, "reported while it runs"
        # Without an expected state it was waiting, for its first attempt or for another one.
        waited = State.FAILED if self.attempts[step] else State.SKIPPED
        assert report.state is self.expected.pop(step, waited)
        assert (report.state in SERVED) == self.warehouse.holds(step)
        assert report.timed_out == (step in self.timed_out)
        assert report.deliberate == self.is_not_to_run(step)
        self.reports[step] = report
        self.waits.pop(step, None)
        aborts = self.requirements[step].on_error == "abort"
        if report.state is State.FAILED and (self.fail_fast != "false" or aborts):
            self.stopped = True
            self.canceling = self.canceling or aborts or self.fail_fast == "true"

    # -- what happens ----------------------------------------------------------------------------

    def answer(
        self,
        step: str,
        cause: Cause,
        withheld: frozenset[OutputName] = frozenset(),
        final: bool = False,
    ) -> None:
        """An attempt ends, by the answer of its worker or by its commit record."""
        attempt = self.lost.pop(step) if step in self.lost else self.running.pop(step)
        asked = self.asked.pop(step, None)
        self.warehouse.end((step, attempt), commits=cause is Cause.COMMITTED)
        retries = attempt <= self.requirements[step].retries
        retries = retries and not (asked or self.stopped or final)
        if cause is Cause.COMMITTED:
            self.expected[step] = State.SUCCEEDED
        elif cause is Cause.CANCELED and asked is Cause.STOPPING:
            self.expected[step] = State.CANCELED
        else:
            self.expected[step] = State.READY if retries else State.FAILED
            if cause is Cause.CANCELED:
                self.timed_out.add(step)
        self.send(Event(step, cause, withheld, final))
        self.refuses_the_impossible(step)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def it_commits(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.running)))
        chosen = data.draw(st.sampled_from(["", "", "p", "q", "pq"]))
        withheld = frozenset(OutputName(step, name) for name in chosen)
        self.withheld |= withheld
        self.answer(step, Cause.COMMITTED, withheld)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), final=st.booleans())
    def it_fails(self, data: st.DataObject, final: bool) -> None:
        """``final``: another attempt would be in vain."""
        step = data.draw(st.sampled_from(sorted(self.running)))
        self.answer(step, Cause.ROLLED_BACK, final=final)

    @precondition(lambda self: set(self.asked) & set(self.running))
    @rule(data=st.data())
    def it_is_canceled(self, data: st.DataObject) -> None:
        canceling = sorted(set(self.asked) & set(self.running))
        self.answer(data.draw(st.sampled_from(canceling)), Cause.CANCELED)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def its_timeout_passes(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.running)))
        self.asked.setdefault(step, Cause.TIMEOUT)
        self.send(Event(step, Cause.TIMEOUT))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), when=st.sampled_from(["before", "during", "after"]))
    def its_worker_is_lost(self, data: st.DataObject, when: str) -> None:
        """Before its commit, after it (the answer is lost), or while the warehouse commits."""
        step = data.draw(st.sampled_from(sorted(self.running)))
        attempt = self.lost[step] = self.running.pop(step)
        if when != "during":
            self.warehouse.end((step, attempt), commits=when == "after")
        self.send(Event(step, Cause.WORKER_LOST))

    @precondition(lambda self: self.lost)
    @rule(data=st.data(), commits=st.booleans(), killed=st.booleans())
    def its_commit_record_is_read(self, data: st.DataObject, commits: bool, killed: bool) -> None:
        """It is read once the session is gone, when the transaction has ended one way or the other.

        ``killed``: the step was asked to stop and did not in time; else it died by itself before.
        """
        step = data.draw(st.sampled_from(sorted(self.lost)))
        self.settle(step, commits, killed)

    @precondition(
        lambda self: any(item not in self.warehouse.records for item in self.lost.items())
    )
    @rule(data=st.data())
    def its_commit_record_cannot_be_read(self, data: st.DataObject) -> None:
        """Nobody knows, so nothing follows: no other attempt, and no step downstream."""
        lost = sorted(
            step for step, n in self.lost.items() if (step, n) not in self.warehouse.records
        )
        self.answer(data.draw(st.sampled_from(lost)), Cause.ROLLED_BACK, final=True)

    def settle(self, step: str, commits: bool, killed: bool = True) -> None:
        key = (step, self.lost[step])
        if key in self.warehouse.open:
            self.warehouse.end(key, commits)
        if key in self.warehouse.records:
            self.answer(step, Cause.COMMITTED)
        else:  # what the executor has killed, as it did not stop in time, counts as canceled
            canceled = killed and step in self.asked
            self.answer(step, Cause.CANCELED if canceled else Cause.ROLLED_BACK)

    @precondition(lambda self: self.claiming)
    @rule(data=st.data(), granted=st.booleans())
    def its_pool_answers(self, data: st.DataObject, granted: bool) -> None:
        step = data.draw(st.sampled_from(sorted(self.claiming)))
        self.claiming.remove(step)
        (self.claimed if granted else self.blocked).add(step)
        self.send(Event(step, Cause.CLAIMED if granted else Cause.BLOCKED))

    @precondition(lambda self: self.blocked)
    @rule(data=st.data())
    def its_pool_has_room_again(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.blocked)))
        self.blocked.remove(step)
        self.claimed.add(step)
        self.send(Event(step, Cause.CLAIMED))

    @precondition(lambda self: self.delayed)
    @rule(data=st.data())
    def its_delay_is_over(self, data: st.DataObject) -> None:
        step = data.draw(st.sampled_from(sorted(self.delayed)))
        self.delayed.remove(step)  # even if a stop has given up the step meanwhile
        self.send(Event(step, Cause.DELAY_OVER))

    @precondition(lambda self: self.looking_up)
    @rule(data=st.data(), found=st.booleans())
    def its_previous_version_is_looked_for(self, data: st.DataObject, found: bool) -> None:
        step = data.draw(st.sampled_from(sorted(self.looking_up)))
        self.looking_up.remove(step)  # even after a stop, when nobody needs it any more
        (self.kept if found else self.no_previous).add(step)
        self.send(Event(step, Cause.HAS_PREVIOUS if found else Cause.NO_PREVIOUS))

    @precondition(lambda self: not self.plan.is_complete)
    @rule(how_often=st.sampled_from([0, 0, 0, 0, 1, 2]))
    def somebody_stops_the_run(self, how_often: int) -> None:
        for _ in range(how_often):
            self.stopped = self.canceling = True
            self.send(Event(None, Cause.STOPPING))

    def refuses_the_impossible(self, step: str) -> None:
        """A late answer, for example, raises with the step's story and changes nothing."""
        state = self.plan.state(step)
        for cause in (Cause.COMMITTED, Cause.ROLLED_BACK, Cause.CANCELED, Cause.WORKER_LOST):
            if (state, cause) not in TRANSITIONS:
                with pytest.raises(InvalidTransition, match=f"{step}.*{state.value}"):
                    self.plan.handle(Event(step, cause))
        assert self.plan.state(step) is state

    # -- what always holds -----------------------------------------------------------------------

    def order(self, step: str) -> tuple[float, float]:
        return (-self.requirements[step].priority, -self.requirements[step].weight)

    def built(self, steps: Sequence[str]) -> bool:
        """Each may be built on: it was published in this run, or its previous version exists."""
        return all(
            step in self.reports and (self.warehouse.holds(step) or step in self.kept)
            for step in steps
        )

    def is_not_to_run(self, step: str) -> bool:
        """Everything that it reads through one of its inputs is missing by choice."""
        return any(all(map(self.is_missing, gate)) for gate in self.requirements[step].gates)

    def is_missing(self, output: OutputName) -> bool:
        report = self.reports.get(output.step)
        return output in self.withheld or (report is not None and report.deliberate)

    def may_be_missing(self, output: OutputName) -> bool:
        """Of a failed step, too, until it is known whether its previous version is there."""
        undecided = output.step not in self.reports or output.step in self.looking_up
        return self.is_missing(output) or undecided

    def may_run(self, step: str) -> bool:
        """Its upstreams can be built on, or are missing by choice and something else is there."""
        read = [
            upstream
            for upstream in self.graph[step]
            if upstream not in self.reports or not self.reports[upstream].deliberate
        ]
        return self.built(read) and not self.is_not_to_run(step)

    def startable(self) -> list[str]:
        """Steps that wait for nothing but a slot."""
        if self.stopped:
            return []
        gone = {*self.running, *self.lost, *self.reports, *self.delayed}
        used = {
            label: sum(label in self.requirements[s].labels for s in self.running)
            for label in LIMITS
        }
        return [
            step
            for step in self.graph
            if step not in gone
            and self.may_run(step)
            and not (self.requirements[step].pool and step not in self.claimed)
            and all(used[label] < LIMITS[label] for label in self.requirements[step].labels)
        ]

    @invariant()
    def bookkeeping_is_consistent(self) -> None:
        self.plan.validate()
        assert self.plan.in_flight == set(self.running)
        assert not self.canceling or set(self.running) <= set(self.asked), "not asked to stop"
        assert self.plan.is_complete == (set(self.reports) == set(self.graph))

    @invariant()
    def limits_are_kept(self) -> None:
        assert len(self.running) <= self.slots
        for label, limit in LIMITS.items():
            assert sum(label in self.requirements[step].labels for step in self.running) <= limit

    @invariant()
    def no_slot_idles(self) -> None:
        if len(self.running) + len(self.claiming) < self.slots:
            assert not self.startable()
            assert self.stopped or not self.unclaimed()

    def unclaimed(self) -> list[str]:
        """Steps that could ask their pool for a slot, and did not.

        There are none while one is refused, as the others wait behind it.
        """
        if self.blocked:
            return []
        asked = self.claimed | self.claiming | self.blocked
        claimed, self.claimed = self.claimed, set(self.graph)
        try:
            return [step for step in self.startable() if step not in asked]
        finally:
            self.claimed = claimed

    @invariant()
    def each_ready_step_has_a_reported_reason_to_wait(self) -> None:
        for step in self.graph:
            idle = step not in {*self.running, *self.lost, *self.reports}
            ready = idle and self.may_run(step)
            assert (step in self.waits) == ready, step
        for step, reason in self.waits.items():
            if reason == RETRY_DELAY:
                assert step in self.delayed
            elif reason == "pool p":
                assert self.requirements[step].pool == "p"
                # Or it waits behind one whose turn it is to ask, once there is a slot.
                turn = [
                    s for s, why in self.waits.items() if why == SLOT and self.requirements[s].pool
                ]
                assert step in self.claiming or self.blocked or set(turn) - self.claimed
            elif reason == SLOT:
                assert len(self.running) == self.slots or self.claiming
            else:
                assert reason in self.requirements[step].labels
                # A step that the limit lets pass counts against it even while it waits for a slot.
                others = {*self.running, *(s for s, why in self.waits.items() if why == SLOT)}
                using = sum(reason in self.requirements[s].labels for s in others)
                assert using >= LIMITS[reason], f"{step} waits for {reason} in vain"

    @invariant()
    def something_can_happen_until_all_is_reported(self) -> None:
        alive = self.running or self.lost or self.claiming or self.blocked or self.delayed
        alive = alive or self.looking_up
        assert alive or self.plan.is_complete

    @invariant()
    def steps_downstream_of_a_failure_are_skipped(self) -> None:
        assert not self.expected, "an answer was not reported"
        for step, report in self.reports.items():
            served = report.state in SERVED or step in self.kept | self.looking_up
            if not served and not report.deliberate:
                for below, upstream in self.graph.items():
                    if step in upstream and self.plan.state(below) is not State.SKIPPED:
                        assert self.plan.state(below) is State.WAITING
                        open_gates = self.requirements[below].gates
                        assert any(all(map(self.may_be_missing, gate)) for gate in open_gates)

    @invariant()
    def what_is_not_to_run_is_skipped_at_once(self) -> None:
        for step in self.graph:
            assert not self.is_not_to_run(step) or self.plan.state(step) is State.SKIPPED

    # -- to the end ------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Everything under way ends; then every step is reported, as the warehouse has it."""
        if sys.exc_info()[0] is not None or not self.graph:
            return  # Hypothesis calls this after a failure, too
        while not self.plan.is_complete:
            for step in sorted(self.claiming | self.blocked):
                self.claiming.discard(step)
                self.blocked.discard(step)
                self.claimed.add(step)
                self.send(Event(step, Cause.CLAIMED))
            for step in sorted(self.delayed):
                self.delayed.remove(step)
                self.send(Event(step, Cause.DELAY_OVER))
            for step in sorted(self.looking_up):
                self.looking_up.remove(step)
                self.kept.add(step)
                self.send(Event(step, Cause.HAS_PREVIOUS))
            for step in sorted(self.lost):
                self.settle(step, commits=True)
            for step in sorted(self.running):
                if step in self.running:
                    self.answer(step, Cause.CANCELED if step in self.asked else Cause.COMMITTED)
            self.plan.validate()
        self.compare()

    def compare(self) -> None:
        assert set(self.reports) == set(self.graph)
        for step, report in self.reports.items():
            assert report.state in FINAL
            assert (report.state in SERVED) == self.warehouse.holds(step)
            never_started = self.attempts[step] == 0 and step not in self.found
            assert (report.state is State.SKIPPED) == never_started
            self.check_the_cause(report)

    def check_the_cause(self, report: Report) -> None:
        if report.path:
            assert (report.path[0], report.path[-1]) == (report.cause, report.step)
            hops = list(zip(report.path, report.path[1:], strict=False))
            if report.left_out:  # where the gap is
                assert len(report.path) == 2 * PATH_ENDS
                del hops[PATH_ENDS - 1]
            for upstream, downstream in hops:
                assert upstream in self.graph[downstream]
            root = self.reports[report.path[0]]
            if report.deliberate:
                assert root.state is State.SUCCEEDED
                assert any(output.step == root.step for output in self.withheld)
                assert all(self.reports[step].deliberate for step in report.path[1:])
            else:
                assert root.state in (State.FAILED, State.CANCELED)
        if report.state is State.SKIPPED and not self.plan.stopping:
            assert report.path, "a skip without its cause"
            assert not self.may_run(report.step)
        in_vain = bool(report.path) and report.cause in self.no_previous
        assert report.no_previous == in_vain


TestPlanMachine = PlanMachine.TestCase
TestPlanMachine.settings = settings(
    max_examples=300 if EXHAUSTIVE else 100, stateful_step_count=40, deadline=None
)
