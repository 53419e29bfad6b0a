"""The plan of one run: a state machine over its steps.

The plan does no I/O and has no clock. The executor reports what happened (an ``Event``), and the
plan answers with what must be done now (``Instruction`` values, in order)::

    for instruction in plan.handle(Event("marts.orders", Cause.COMMITTED)):
        ...

Every move is a row of ``states.TRANSITIONS``; anything else is a bug in this package and raises
``InvalidTransition`` with the step's history. The design is that of dask.distributed's worker state
machine. The order of the steps follows the critical path, as in ninja (weights, see util/graph.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from dagster_models.errors import InvalidTransition
from dagster_models.scheduling.gates import Gates
from dagster_models.scheduling.ready_queue import ReadyQueue
from dagster_models.scheduling.requirements import OutputName, StepRequirements
from dagster_models.scheduling.states import (
    FINAL,
    HOLDS_SLOT,
    PATH_ENDS,
    SERVED,
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
    Retry,
    Start,
    State,
    Transition,
)
from dagster_models.scheduling.together import together


@dataclass(slots=True)
class _Step:
    order: int
    upstream: tuple[str, ...]
    requirements: StepRequirements
    downstream: list[str] = field(default_factory=list)
    state: State = State.WAITING
    unfinished: int = 0  # upstreams that it still waits for
    attempt: int = 0
    timed_out: bool = False
    asks_previous: bool = False  # it failed, and AskPrevious has no answer yet
    has_previous: bool | None = None  # the answer to AskPrevious; None without one
    blame: str | None = None  # the upstream that kept it from starting, or what stopped the run
    path: tuple[str, ...] = ()  # from the root cause to this one, once it is reported
    left_out: int = 0  # steps in the middle of the path
    story: list[Transition] = field(default_factory=list)


class Plan:
    """What is still to be done in this run, and what may start now.

    Args:
        graph: step -> its upstreams among the steps of this run.
        requirements: step -> its requirements; a step that is missing here has none.
        max_concurrent: how many steps may hold a slot at once (at least 1).
        fail_fast: "false": steps that do not depend on a failure go on. "true": the first failure
            stops the run. "drain": after the first failure no step is started, but those in flight
            may finish.
        limits: label -> how many steps with it may hold a slot at once.
    """

    def __init__(
        self,
        graph: Mapping[str, Sequence[str]],
        requirements: Mapping[str, StepRequirements] | None = None,
        *,
        max_concurrent: int,
        fail_fast: FailFast = "false",
        limits: Mapping[str, int] | None = None,
    ) -> None:
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent is {max_concurrent}; at least one slot is needed")
        self.max_concurrent = max_concurrent
        self.fail_fast = fail_fast
        self.stopping = False
        self.stopped_by: str | None = None  # the step whose failure stopped the run
        self._steps: dict[str, _Step] = {}
        known, none = requirements or {}, StepRequirements()
        for order, (step, upstream) in enumerate(graph.items()):
            self._steps[step] = _Step(order, tuple(dict.fromkeys(upstream)), known.get(step, none))
        for step, it in self._steps.items():
            it.unfinished = len(it.upstream)
            for upstream_step in it.upstream:
                self._steps[upstream_step].downstream.append(step)
        self._queue = ReadyQueue(
            ((step, it.requirements) for step, it in self._steps.items()), limits or {}
        )
        self._busy: set[str] = set()
        self._open = len(self._steps)
        self._gates = Gates(known)

    @property
    def is_complete(self) -> bool:
        """Every step is in a final state."""
        return self._open == 0

    @property
    def in_flight(self) -> frozenset[str]:
        """The steps that hold a slot."""
        return frozenset(self._busy)

    def state(self, step: str) -> State:
        return self._steps[step].state

    def attempt(self, step: str) -> int:
        """How many attempts of the step were started."""
        return self._steps[step].attempt

    def waits_for(self, step: str) -> str | None:
        """Why a ready step has not started (see ``ReportWait``); None if it is not ready."""
        return self._queue.reason(step)

    def built_on_previous(self, step: str) -> tuple[str, ...]:
        """The upstreams that failed in this run, and whose previous versions *step* reads."""
        return tuple(u for u in self._steps[step].upstream if self._steps[u].has_previous)

    def story(self, step: str) -> tuple[Transition, ...]:
        """Every transition of one step, oldest first."""
        return tuple(self._steps[step].story)

    def first(self) -> tuple[str, ...]:
        """The steps that wait for nothing but a slot when the run begins, as many as have one."""
        free = (
            step
            for step, it in self._steps.items()
            if not (it.upstream or it.requirements.labels or it.requirements.pool)
        )
        return tuple(islice(free, self.max_concurrent))

    # -- events in, instructions out -------------------------------------------------------------

    def begin(
        self, found: Collection[str] = (), unchanged: Collection[str] = ()
    ) -> list[Instruction]:
        """The first instructions; call once.

        ``found``: steps that an earlier run committed, and that are reported as succeeded.
        ``unchanged``: steps that are left alone. The upstreams of both in this run are all among
        them; none of them is started.
        """
        out: list[Instruction] = []
        for step in found:
            self._move(step, Cause.FOUND)
        for step in unchanged:
            self._move(step, Cause.AS_IT_WAS)
        for step in (*found, *unchanged):
            out += self._finished(step)
        for step, it in self._steps.items():
            if it.unfinished == 0 and it.state is State.WAITING:
                self._make_ready(step)
        return out + self._fill()

    def handle(self, event: Event) -> list[Instruction]:
        """Apply one event; return what the executor must do now, in order.

        Raises:
            InvalidTransition: the event cannot happen to the step in its state.
        """
        if event.step is None:
            return [*self._stop(drain=False), *self._fill()]
        it = self._steps[event.step]
        cause = self._precise_cause(it, event)
        if cause in (Cause.HAS_PREVIOUS, Cause.NO_PREVIOUS) and it.asks_previous:
            it.asks_previous, it.has_previous = False, cause is Cause.HAS_PREVIOUS
            return [*self._release(event.step), *self._fill()]
        if cause is Cause.BLOCKED:
            self._queue.pool_refused(event.step)
            return self._fill()
        if cause in (Cause.DELAY_OVER, Cause.CLAIMED):
            if cause is Cause.CLAIMED:
                self._queue.pool_granted(event.step)
            if it.state is State.READY:  # otherwise a stop came in the meantime
                self._queue.add(event.step)
            return self._fill()
        if cause is Cause.TIMEOUT:
            if it.state is not State.RUNNING:
                return []  # its answer, or a cancel, came first
            it.timed_out = True
        return [*self._after(event.step, cause, event.withheld), *self._fill()]

    def _after(self, step: str, cause: Cause, withheld: frozenset[OutputName]) -> list[Instruction]:
        """Move the step; return what follows, except for what may now start in a freed slot."""
        finish = self._move(step, cause)
        if cause is Cause.TIMEOUT:
            return [Cancel(step)]
        if cause is Cause.RETRY:
            self._queue.delay(step)
            return [Retry(step, self._steps[step].attempt)]
        if finish is State.IN_DOUBT:
            return [AskWarehouse(step)]
        self._gates.withhold(withheld)
        return self._finished(step) if finish in FINAL else []

    def handle_all(self, events: Iterable[Event]) -> list[Instruction]:
        """Apply events that came together; return what to do in the order of ``together``.

        Raises:
            InvalidTransition: as ``handle``.
        """
        instructions = [it for event in events for it in self.handle(event)]
        return together(instructions, lambda step: self._steps[step].upstream)

    def _precise_cause(self, it: _Step, event: Event) -> Cause:
        """The event's cause, made precise by what the plan knows of the step."""
        if event.cause is Cause.ROLLED_BACK and it.state in (State.RUNNING, State.IN_DOUBT):
            in_vain = event.final or self.stopping or it.timed_out
            if it.attempt <= it.requirements.retries and not in_vain:
                return Cause.RETRY
        elif event.cause is Cause.CANCELED and it.timed_out:
            return Cause.TIMED_OUT
        return event.cause

    # -- what follows from the end of a step -----------------------------------------------------

    def _finished(self, step: str) -> list[Instruction]:
        it = self._steps[step]
        out: list[Instruction] = []
        if it.state is State.CANCELED:
            it.blame = self.stopped_by
        out.append(self._report(step))
        failed, on_error = it.state is State.FAILED, it.requirements.on_error
        if failed and (self.fail_fast != "false" or on_error == "abort"):
            out += self._release(step)
            self.stopped_by = self.stopped_by or step
            out += self._stop(drain=self.fail_fast == "drain" and on_error != "abort")
        elif failed and on_error == "continue" and not self.stopping and it.downstream:
            it.asks_previous = True
            out.append(AskPrevious(step))
        else:
            out += self._release(step)
        return out

    def _release(self, step: str) -> list[Instruction]:
        """Let the steps downstream of one that is over go on, or skip them and what is downstream
        of them (in a loop, as chains can be long)."""
        out: list[Instruction] = []
        todo = [(downstream, step) for downstream in reversed(self._steps[step].downstream)]
        while todo:
            step, over = todo.pop()
            if self._steps[step].state is not State.WAITING:
                continue
            self._upstream_is_over(step, over)
            if self._steps[step].state is State.SKIPPED:
                out.append(self._report(step))
                todo += [(below, step) for below in reversed(self._steps[step].downstream)]
        return out

    def _upstream_is_over(self, step: str, over: str) -> None:
        """Make a waiting step ready, skip it, or let it wait for its other upstreams.

        Where an upstream has failed and another one may still close a gate, the step waits: as for
        Dagster, the choice goes before the failure, because a re-execution from failure must not
        run the step.
        """
        it = self._steps[step]
        it.unfinished -= 1
        if not self._lets_go_on(over):
            it.blame = it.blame or over
        if self._gates.is_closed(step):
            it.blame = over
            self._gates.skip(step)
            self._move(step, Cause.WITHHELD)
        elif it.blame is not None:
            if not self._gates.may_close(step, lambda other: self._steps[other].state in FINAL):
                self._move(step, Cause.UPSTREAM)
        elif it.unfinished == 0:
            self._make_ready(step)

    def _lets_go_on(self, upstream: str) -> bool:
        """Whether an upstream that is over can be read, or is missing by choice."""
        it = self._steps[upstream]
        served = it.state in SERVED or it.has_previous is True
        return served or self._gates.are_missing_from(upstream)

    def _stop(self, drain: bool) -> list[Instruction]:
        """Start no further step; cancel those in flight, unless they may finish (*drain*)."""
        out: list[Instruction] = []
        if not self.stopping:
            self.stopping = True
            self._queue.clear()
            for step, it in self._steps.items():
                if it.state in (State.WAITING, State.READY):
                    it.blame = it.blame or self.stopped_by
                    self._move(step, Cause.GAVE_UP if it.attempt else Cause.STOPPING)
                    out.append(self._report(step))
                    # Now it has failed, and `on_error: abort` lets nothing in flight finish.
                    if it.attempt and it.requirements.on_error == "abort":
                        drain = False
        if not drain:
            for step in sorted(self._busy, key=lambda s: self._steps[s].order):
                if self._steps[step].state is State.RUNNING:
                    self._move(step, Cause.STOPPING)
                    out.append(Cancel(step))
        return out

    # -- slots -----------------------------------------------------------------------------------

    def _make_ready(self, step: str) -> None:
        self._move(step, Cause.UNBLOCKED)
        self._queue.add(step)

    def _fill(self) -> list[Instruction]:
        """Give free slots to the heaviest ready steps that no limit holds back."""
        out: list[Instruction] = []
        free = self.max_concurrent - len(self._busy)
        while free > 0 and (turn := self._queue.next()) is not None:
            step, must_claim = turn
            if must_claim:
                out.append(Claim(step))
            else:
                it = self._steps[step]
                it.attempt += 1
                self._move(step, Cause.STARTED)
                out.append(Start(step, it.attempt))
            free -= 1
        return out + self._queue.new_reasons()

    # -- moves and reports -----------------------------------------------------------------------

    def _report(self, step: str) -> Report:
        it = self._steps[step]
        it.path, it.left_out = path, left_out = self._path(it, step)
        # This is not `it.timed_out`: its own error or a commit may have come before the cancel.
        timed_out = it.story[-1].cause is Cause.TIMED_OUT
        if len(path) == 1:
            return Report(step, it.state, it.blame, (), timed_out)
        no_previous = self._steps[path[0]].has_previous is False
        deliberate = self._gates.are_missing_from(step)
        return Report(step, it.state, path[0], path, timed_out, no_previous, deliberate, left_out)

    def _path(self, it: _Step, step: str) -> tuple[tuple[str, ...], int]:
        """From the root cause down to *step*, each step skipped because of the one before it, and
        how many steps are left out in the middle. The upstream was reported before."""
        if it.blame not in it.upstream:
            return (step,), 0
        above = self._steps[it.blame]
        path = (*(above.path or (it.blame,)), step)
        if len(path) <= 2 * PATH_ENDS:
            return path, 0
        return path[:PATH_ENDS] + path[-PATH_ENDS:], above.left_out + 1

    def _move(self, step: str, cause: Cause) -> State:
        it = self._steps[step]
        start, finish = it.state, TRANSITIONS.get((it.state, cause))
        if finish is None:
            what = f"step {step!r} is {start.value}; this cannot happen to it: {cause.value}"
            raise InvalidTransition("\n  ".join([what, *map(str, it.story)]))
        it.state = finish
        if start is State.READY:
            self._queue.remove(step)
        it.story.append(Transition(start, cause, finish))
        if (finish in HOLDS_SLOT) != (start in HOLDS_SLOT):
            if finish in HOLDS_SLOT:
                self._busy.add(step)
                self._queue.slot_taken(step)
            else:
                self._busy.discard(step)
                self._queue.slot_freed(step)
        self._open -= finish in FINAL
        return finish

    def validate(self) -> None:
        """Raise AssertionError if the bookkeeping contradicts itself. Linear; for tests."""
        steps = self._steps
        busy = {step for step, it in steps.items() if it.state in HOLDS_SLOT}
        assert busy == self._busy, (busy, self._busy)
        assert len(busy) <= self.max_concurrent
        assert self._open == sum(it.state not in FINAL for it in steps.values())
        self._queue.validate({step for step, it in steps.items() if it.state is State.READY}, busy)
        for step, it in steps.items():
            served = sum(map(self._lets_go_on, it.upstream))
            if it.state not in (State.WAITING, State.SKIPPED):
                assert served == len(it.upstream), f"{step} went on before its upstreams"
            if it.asks_previous or it.has_previous is not None:
                assert (it.state, it.requirements.on_error) == (State.FAILED, "continue"), step
                assert it.asks_previous == (it.has_previous is None), step
            if self.stopping:
                assert it.state not in (State.WAITING, State.READY), f"{step} survived the stop"
            assert it.attempt == sum(t.cause is Cause.STARTED for t in it.story), step
