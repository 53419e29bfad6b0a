"""The plan of one run: a state machine over its steps.

The plan does no I/O and has no clock. The executor tells it what happened (an ``Event``) and it
answers with what must be done now (``Instruction`` values, in order)::

    for instruction in plan.handle(Event("marts.orders", Cause.COMMITTED)):
        ...

Every move is a row of ``states.TRANSITIONS``; anything else is a bug of ours and raises
``InvalidTransition`` with the story of the step. The shape is that of dask.distributed's worker
state machine; which step comes first is ninja's critical path (weights, see graph.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dagster_models.core.model import OnError
from dagster_models.errors import InvalidTransition
from dagster_models.scheduling.states import (
    FINAL,
    HOLDS_SLOT,
    RETRY_DELAY,
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
    Transition,
)


@dataclass(frozen=True, slots=True)
class StepRequirements:
    """What the plan must know of a step beyond its upstreams.

    ``weight``: seconds of the heaviest path from its start to the run's end. ``labels``: limits
    that it counts against. ``pool``: of Dagster's, must grant it a place before each attempt.
    ``on_error``: what its failure does to others. "skip_downstream"; "continue": what is downstream
    builds on its previous version; "abort": it stops the run, whatever ``fail_fast`` says.
    """

    weight: float = 1.0
    priority: int = 0
    retries: int = 0
    on_error: OnError = "skip_downstream"
    labels: tuple[str, ...] = ()
    pool: str | None = None


_Entry: TypeAlias = tuple[int, float, int, str]  # -priority, -weight, order, step


@dataclass(slots=True)
class _Step:
    needs: StepRequirements
    order: int
    upstream: tuple[str, ...]
    downstream: list[str] = field(default_factory=list)
    state: State = State.WAITING
    missing: int = 0
    attempt: int = 0
    claimed: bool = False
    waits_for: str | None = None  # of a ready step: the reason that it has not started
    told: str | None = None  # what the last ReportWait said
    timed_out: bool = False
    asked: bool = False  # whether its previous version is there, and no answer yet
    kept: bool | None = None  # it failed: whether its previous version serves what is downstream
    blame: str | None = None  # the upstream (or the stopping step) that this one was given up for
    story: list[Transition] = field(default_factory=list)


def _pool(it: _Step) -> str:
    """Its pool, as the reason of a ReportWait."""
    return f"pool {it.needs.pool}"


class Plan:
    """What we still want from this run, and what may start now.

    Args:
        graph: step -> its upstreams among the steps of this run.
        needs: step -> its needs; a step that is not there has none.
        max_concurrent: how many steps may hold a slot at once (at least 1).
        fail_fast: "false": what does not depend on a failure goes on. "true": the first failure
            stops the run. "drain": it starts nothing more, what is in flight may finish.
        limits: label -> how many steps with it may hold a slot at once.
    """

    def __init__(
        self,
        graph: Mapping[str, Sequence[str]],
        needs: Mapping[str, StepRequirements] | None = None,
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
        self._limits = dict(limits or {})
        self._used = dict.fromkeys(self._limits, 0)
        self._steps: dict[str, _Step] = {}
        for order, (step, upstream) in enumerate(graph.items()):
            unique = tuple(dict.fromkeys(upstream))
            self._steps[step] = _Step((needs or {}).get(step, StepRequirements()), order, unique)
        for step, it in self._steps.items():
            it.missing = len(it.upstream)
            for upstream_step in it.upstream:
                self._steps[upstream_step].downstream.append(step)
        self._ready: list[_Entry] = []  # a heap
        self._held: dict[str, list[_Entry]] = {label: [] for label in self._limits}  # heaps
        # pool -> the steps that it has no place for; the others of the pool are held until then:
        # a thousand steps must not all ask again and again.
        self._blocked: dict[str, set[str]] = {}
        self._moved: list[str] = []  # steps whose reason to wait may be another one now
        self._busy: set[str] = set()
        self._open = len(self._steps)

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
        return self._steps[step].waits_for

    def built_on_previous(self, step: str) -> tuple[str, ...]:
        """The upstreams that failed in this run, and whose previous versions *step* reads."""
        return tuple(u for u in self._steps[step].upstream if self._steps[u].kept)

    def story(self, step: str) -> tuple[Transition, ...]:
        """Every transition of one step, oldest first."""
        return tuple(self._steps[step].story)

    def begin(self, found: Collection[str] = ()) -> list[Instruction]:
        """The first instructions; call once.

        ``found``: steps that an earlier run committed, with all their upstreams of this run; they
        are reported as succeeded, and not started.
        """
        out: list[Instruction] = []
        for step in found:
            self._move(step, Cause.FOUND)
        for step in found:
            out += self._finished(step, frozenset())
        for step, it in self._steps.items():
            if it.missing == 0 and it.state is State.WAITING:
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
        cause = self._read(it, event)
        if cause in (Cause.HAS_PREVIOUS, Cause.NO_PREVIOUS) and it.asked:
            it.asked, it.kept = False, cause is Cause.HAS_PREVIOUS
            return [*self._release(event.step, frozenset()), *self._fill()]
        if cause is Cause.BLOCKED:
            self._blocked.setdefault(_pool(it), set()).add(event.step)
            return self._fill()
        if cause in (Cause.DELAY_OVER, Cause.CLAIMED):
            if cause is Cause.CLAIMED:
                self._claimed(event.step)
            if it.state is State.READY:  # a stopped run has given it up meanwhile
                self._queue(event.step)
            return self._fill()
        if cause is Cause.TIMEOUT:
            if it.state is not State.RUNNING:
                return []  # its answer, or a cancel, came first
            it.timed_out = True
        finish = self._move(event.step, cause)
        out: list[Instruction] = []
        if cause is Cause.TIMEOUT:
            out.append(Cancel(event.step))
        elif cause is Cause.RETRY:
            it.claimed = False
            self._wait(event.step, RETRY_DELAY)
            out.append(Retry(event.step, it.attempt))
        elif finish is State.IN_DOUBT:
            out.append(AskWarehouse(event.step))
        elif finish in FINAL:
            out += self._finished(event.step, event.withheld)
        return out + self._fill()

    def handle_all(self, events: Iterable[Event]) -> list[Instruction]:
        """Apply events that came together: what they ask to be done, and then what they ask to be
        told, which takes longer. The steps of a wide run tend to end at one moment, and a slot
        would stand empty until all of them are told of.

        What rests on something told stays behind it: whatever becomes of a step that is downstream
        of a Report, a Claim of the place that it frees, and what comes later for the same step.

        Raises:
            InvalidTransition: as ``handle``.
        """
        instructions = [it for event in events for it in self.handle(event)]
        told = {it.step for it in instructions if isinstance(it, Report)}
        behind: set[str] = set()
        first: list[Instruction] = []
        then: list[Instruction] = []
        for it in instructions:
            rests = isinstance(it, (Report, Retry, Claim))
            if rests or not told.isdisjoint(self._steps[it.step].upstream):
                behind.add(it.step)
            (then if it.step in behind else first).append(it)
        return first + then

    def _read(self, it: _Step, event: Event) -> Cause:
        """The event's cause, made precise by what the plan knows of the step."""
        if event.cause is Cause.ROLLED_BACK and it.state in (State.RUNNING, State.IN_DOUBT):
            in_vain = event.final or self.stopping or it.timed_out
            if it.attempt <= it.needs.retries and not in_vain:
                return Cause.RETRY
        elif event.cause is Cause.CANCELED and it.timed_out:
            return Cause.TIMED_OUT
        return event.cause

    def _finished(self, step: str, withheld: frozenset[str]) -> list[Instruction]:
        it = self._steps[step]
        out: list[Instruction] = []
        if it.state is State.CANCELED:
            it.blame = self.stopped_by
        out.append(self._report(step))
        failed, on_error = it.state is State.FAILED, it.needs.on_error
        if failed and (self.fail_fast != "false" or on_error == "abort"):
            out += self._release(step, withheld)
            self.stopped_by = self.stopped_by or step
            out += self._stop(drain=self.fail_fast == "drain" and on_error != "abort")
        elif failed and on_error == "continue" and not self.stopping and it.downstream:
            it.asked = True
            out.append(AskPrevious(step))
        else:
            out += self._release(step, withheld)
        return out

    def _release(self, step: str, withheld: frozenset[str]) -> list[Instruction]:
        """Let what is downstream of a step that is over go on, or skip it."""
        it = self._steps[step]
        out: list[Instruction] = []
        for downstream in it.downstream:
            if not (it.state is State.SUCCEEDED or it.kept) or downstream in withheld:
                out += self._skip(downstream, blame=step)
                continue
            other = self._steps[downstream]
            other.missing -= 1
            if other.missing == 0 and other.state is State.WAITING:
                self._make_ready(downstream)
        return out

    def _skip(self, step: str, blame: str) -> list[Instruction]:
        """Skip *step* and all that is downstream of it (iteratively: chains can be long)."""
        out: list[Instruction] = []
        todo = [(step, blame)]
        while todo:
            step, blame = todo.pop()
            it = self._steps[step]
            if it.state is not State.WAITING:
                continue
            it.blame = blame
            self._move(step, Cause.UPSTREAM)
            out.append(self._report(step))
            todo += [(downstream, step) for downstream in reversed(it.downstream)]
        return out

    def _stop(self, drain: bool) -> list[Instruction]:
        """Start nothing more; unless draining, cancel what is in flight."""
        out: list[Instruction] = []
        if not self.stopping:
            self.stopping = True
            for heap in (self._ready, *self._held.values()):
                heap.clear()
            for step, it in self._steps.items():
                if it.state in (State.WAITING, State.READY):
                    it.blame = self.stopped_by
                    self._move(step, Cause.GAVE_UP if it.attempt else Cause.STOPPING)
                    out.append(self._report(step))
                    # Given up is failed, and of this one nothing in flight may outlive that.
                    if it.attempt and it.needs.on_error == "abort":
                        drain = False
        if not drain:
            for step in sorted(self._busy, key=lambda s: self._steps[s].order):
                if self._steps[step].state is State.RUNNING:
                    self._move(step, Cause.STOPPING)
                    out.append(Cancel(step))
        return out

    def _fill(self) -> list[Instruction]:
        """Give free slots to the heaviest ready steps that no limit holds back."""
        out: list[Instruction] = []
        claiming = 0
        while self._ready and len(self._busy) + claiming < self.max_concurrent:
            entry = heapq.heappop(self._ready)
            step = entry[-1]
            it = self._steps[step]
            full = [label for label in it.needs.labels if not self._has_room(label)]
            if full:
                heapq.heappush(self._held[full[0]], entry)
                self._wait(step, full[0])
                self._pass_on(it)
            elif it.needs.pool is not None and not it.claimed:
                self._wait(step, _pool(it))
                if self._blocked.get(_pool(it)):
                    heapq.heappush(self._held.setdefault(_pool(it), []), entry)
                else:
                    claiming += 1
                    out.append(Claim(step))  # it comes back to the heap with CLAIMED
                self._pass_on(it)
            else:
                it.attempt += 1
                self._move(step, Cause.STARTED)
                out.append(Start(step, it.attempt))
        return out + self._waits()

    def _wait(self, step: str, reason: str) -> None:
        self._steps[step].waits_for = reason
        self._moved.append(step)

    def _waits(self) -> list[Instruction]:
        """What ready steps wait for, where it is not what was told before."""
        out: list[Instruction] = []
        for step in self._moved:
            it = self._steps[step]
            if it.waits_for is not None and it.waits_for != it.told:
                it.told = it.waits_for
                out.append(ReportWait(step, it.waits_for))
        self._moved.clear()
        return out

    def _claimed(self, step: str) -> None:
        """It has its place: the next one of its pool may ask."""
        it = self._steps[step]
        it.claimed = True
        self._blocked.setdefault(_pool(it), set()).discard(step)
        self._next_of_pool(_pool(it))

    def _pass_on(self, it: _Step) -> None:
        """The room that a step leaves under its labels, or its turn to ask its pool, may be what
        somebody waits for."""
        for label in it.needs.labels:
            self._wake(label)
        if not it.claimed:
            self._next_of_pool(_pool(it))

    def _next_of_pool(self, pool: str) -> None:
        if self._held.get(pool) and not self._blocked.get(pool):
            self._wake_one(pool)

    def _has_room(self, label: str) -> bool:
        return self._used[label] < self._limits[label]

    def _wake(self, label: str) -> None:
        """Let the heaviest step that is held back by *label* try again: one, to stay linear."""
        if self._held[label] and self._has_room(label):
            self._wake_one(label)

    def _wake_one(self, reason: str) -> None:
        entry = heapq.heappop(self._held[reason])
        heapq.heappush(self._ready, entry)
        self._wait(entry[-1], SLOT)

    def _make_ready(self, step: str) -> None:
        self._move(step, Cause.UNBLOCKED)
        self._queue(step)

    def _queue(self, step: str) -> None:
        it = self._steps[step]
        heapq.heappush(self._ready, (-it.needs.priority, -it.needs.weight, it.order, step))
        self._wait(step, SLOT)

    def _report(self, step: str) -> Report:
        it = self._steps[step]
        path = self._path(step)
        timed_out = it.story[-1].cause is Cause.TIMED_OUT  # an error or a commit may come before it
        if len(path) == 1:
            return Report(step, it.state, it.blame, (), timed_out)
        no_previous = self._steps[path[0]].kept is False
        return Report(step, it.state, path[0], path, timed_out, no_previous)

    def _path(self, step: str) -> tuple[str, ...]:
        """From the root cause down to *step*, along the upstreams that it was skipped for."""
        path = [step]
        while (blame := self._steps[path[-1]].blame) in self._steps[path[-1]].upstream:
            assert blame is not None
            path.append(blame)
        return tuple(reversed(path))

    def _move(self, step: str, cause: Cause) -> State:
        it = self._steps[step]
        start, finish = it.state, TRANSITIONS.get((it.state, cause))
        if finish is None:
            told = [f"step {step!r} is {start.value}; this cannot happen to it: {cause.value}"]
            raise InvalidTransition("\n  ".join([*told, *map(str, it.story)]))
        it.state = finish
        if start is State.READY:
            it.waits_for = it.told = None
        it.story.append(Transition(start, cause, finish))
        if (finish in HOLDS_SLOT) != (start in HOLDS_SLOT):
            change = 1 if finish in HOLDS_SLOT else -1
            (self._busy.add if change > 0 else self._busy.discard)(step)
            for label in it.needs.labels:
                self._used[label] += change
                if change < 0:
                    self._wake(label)
        self._open -= finish in FINAL
        return finish

    def validate(self) -> None:
        """Raise AssertionError if the bookkeeping contradicts itself. Linear; for tests."""
        steps = self._steps
        busy = {step for step, it in steps.items() if it.state in HOLDS_SLOT}
        assert busy == self._busy, (busy, self._busy)
        assert len(busy) <= self.max_concurrent
        assert self._open == sum(it.state not in FINAL for it in steps.values())
        for label, limit in self._limits.items():
            used = sum(label in steps[step].needs.labels for step in busy)
            assert used == self._used[label] <= limit, label
        queued = [e[-1] for heap in (self._ready, *self._held.values()) for e in heap]
        assert len(queued) == len(set(queued)), "queued twice"
        ready = {entry[-1] for entry in self._ready}
        helds = [(label, {e[-1] for e in heap}) for label, heap in self._held.items()]
        for step, it in steps.items():
            served = sum(
                steps[u].state is State.SUCCEEDED or steps[u].kept is True for u in it.upstream
            )
            if it.state not in (State.WAITING, State.SKIPPED):
                assert served == len(it.upstream), f"{step} went on before its upstreams"
            if it.asked or it.kept is not None:
                assert (it.state, it.needs.on_error) == (State.FAILED, "continue"), step
                assert it.asked == (it.kept is None), step
            if step in queued:
                assert it.state is State.READY, step
            assert (it.waits_for is not None) == (it.state is State.READY), step
            assert it.told == it.waits_for, f"{step} waits for {it.waits_for}, told: {it.told}"
            assert (step in ready) == (it.waits_for == SLOT), step
            for reason, held in helds:
                assert step not in held or it.waits_for == reason, step
                assert (it.waits_for == reason) == (step in held) or reason == _pool(it), step
            if self.stopping:
                assert it.state not in (State.WAITING, State.READY), f"{step} survived the stop"
            assert it.attempt == sum(t.cause is Cause.STARTED for t in it.story), step
