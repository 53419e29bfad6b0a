"""The ready steps of a run: which one starts next, and what holds each of the others back.

A ready step waits for exactly one reason::

    slot          it is in the heap that ``next`` takes from, heaviest first
    <a label>     it is held back: as many steps as the label's limit allows hold a slot
    pool <name>   the pool has no slot for it, or it is held back behind a step that was refused one
    retry delay   it is in no heap, and comes back with ``add``

Whenever something comes free, one step that was held back for it moves to the first heap and tries
again. It is only one, so that the cost of a run stays linear in its steps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import TypeAlias

from dagster_models.scheduling.requirements import StepRequirements
from dagster_models.scheduling.states import RETRY_DELAY, SLOT, ReportWait


@dataclass(slots=True)
class _Candidate:
    """A step as the queue sees it. The reasons are None while the step is not ready."""

    step: str
    order: int  # in the graph: decides between equals
    requirements: StepRequirements
    pool: str | None  # its pool, as the reason to wait
    has_pool_slot: bool = False
    waits_for: str | None = None
    reported: str | None = None  # what the last ReportWait of this step said


_Entry: TypeAlias = tuple[int, float, int, _Candidate]  # -priority, -weight, order


class ReadyQueue:
    """The ready steps of one run, in the order in which they may start.

    Args:
        requirements: every step of the run, in the order of the graph.
        limits: label -> how many steps with that label may hold a slot at once.
    """

    def __init__(
        self, requirements: Iterable[tuple[str, StepRequirements]], limits: Mapping[str, int]
    ) -> None:
        self._candidates = {
            step: _Candidate(step, order, needed, f"pool {needed.pool}" if needed.pool else None)
            for order, (step, needed) in enumerate(requirements)
        }
        self._limits = dict(limits)
        self._used = dict.fromkeys(limits, 0)
        self._heap: list[_Entry] = []
        self._held: dict[str, list[_Entry]] = {label: [] for label in limits}  # heaps by reason
        # pool -> the steps that it had no slot for. The others of the pool are held back behind
        # them: a thousand steps must not all ask again and again.
        self._refused: dict[str, set[str]] = {}
        self._moved: list[_Candidate] = []  # those whose reason to wait may have changed

    # -- what the plan asks ----------------------------------------------------------------------

    def next(self) -> tuple[str, bool] | None:
        """The heaviest step that no limit holds back; None if there is none.

        The flag is False for a step that may start now. It is True for a step that must first get
        a slot of its pool; such a step comes back with ``pool_granted``.
        """
        while self._heap:
            entry = heapq.heappop(self._heap)
            it = entry[-1]
            full = [label for label in it.requirements.labels if not self._has_room(label)]
            if full:
                self._hold(entry, full[0])
            elif it.pool is None or it.has_pool_slot:
                return it.step, False
            elif self._refused.get(it.pool):
                self._hold(entry, it.pool)
            else:
                self._wait(it, it.pool)
                self._pass_on(it)
                return it.step, True
        return None

    def reason(self, step: str) -> str | None:
        """What a ready step waits for (see ``ReportWait``); None for any other step."""
        return self._candidates[step].waits_for

    def new_reasons(self) -> list[ReportWait]:
        """What ready steps wait for, where it differs from what was reported before."""
        found: list[ReportWait] = []
        for it in self._moved:
            if it.waits_for is not None and it.waits_for != it.reported:
                it.reported = it.waits_for
                found.append(ReportWait(it.step, it.waits_for))
        self._moved.clear()
        return found

    # -- what happens to a step ------------------------------------------------------------------

    def add(self, step: str) -> None:
        """The step may start as soon as there is a slot."""
        it = self._candidates[step]
        needed = it.requirements
        heapq.heappush(self._heap, (-needed.priority, -needed.weight, it.order, it))
        self._wait(it, SLOT)

    def delay(self, step: str) -> None:
        """The step waits for its next attempt, and asks its pool again before that."""
        it = self._candidates[step]
        it.has_pool_slot = False
        self._wait(it, RETRY_DELAY)

    def remove(self, step: str) -> None:
        """The step is not ready any more: it was started, or given up."""
        it = self._candidates[step]
        it.waits_for = it.reported = None

    def pool_granted(self, step: str) -> None:
        """The step has a slot of its pool: the next one of the pool may ask."""
        it = self._candidates[step]
        assert it.pool is not None
        it.has_pool_slot = True
        self._refused.setdefault(it.pool, set()).discard(step)
        self._next_of_pool(it.pool)

    def pool_refused(self, step: str) -> None:
        """The pool has no slot for the step, which will get one later."""
        it = self._candidates[step]
        assert it.pool is not None
        self._refused.setdefault(it.pool, set()).add(step)

    def slot_taken(self, step: str) -> None:
        """The step counts against its limits from now on."""
        for label in self._candidates[step].requirements.labels:
            self._used[label] += 1

    def slot_freed(self, step: str) -> None:
        """The step does not count against its limits any more."""
        for label in self._candidates[step].requirements.labels:
            self._used[label] -= 1
            self._wake(label)

    def clear(self) -> None:
        """The run starts nothing more."""
        for heap in (self._heap, *self._held.values()):
            heap.clear()

    # -- what is held back -----------------------------------------------------------------------

    def _wait(self, it: _Candidate, reason: str) -> None:
        it.waits_for = reason
        self._moved.append(it)

    def _hold(self, entry: _Entry, reason: str) -> None:
        heapq.heappush(self._held.setdefault(reason, []), entry)
        self._wait(entry[-1], reason)
        self._pass_on(entry[-1])

    def _pass_on(self, it: _Candidate) -> None:
        """What *it* cannot use now, another step may wait for: the room under its labels, or its
        turn to ask the pool."""
        for label in it.requirements.labels:
            self._wake(label)
        if it.pool is not None and not it.has_pool_slot:
            self._next_of_pool(it.pool)

    def _has_room(self, label: str) -> bool:
        return self._used[label] < self._limits[label]

    def _wake(self, label: str) -> None:
        if self._held[label] and self._has_room(label):
            self._wake_one(label)

    def _next_of_pool(self, pool: str) -> None:
        if self._held.get(pool) and not self._refused.get(pool):
            self._wake_one(pool)

    def _wake_one(self, reason: str) -> None:
        entry = heapq.heappop(self._held[reason])
        heapq.heappush(self._heap, entry)
        self._wait(entry[-1], SLOT)

    def validate(self, ready: Set[str], holding: Set[str]) -> None:
        """Raise AssertionError if the bookkeeping contradicts itself. Linear; for tests.

        ``ready``: the steps in state READY; ``holding``: those that hold a slot.
        """
        for label, limit in self._limits.items():
            used = sum(label in self._candidates[step].requirements.labels for step in holding)
            assert used == self._used[label] <= limit, label
        heaps = {**self._held, SLOT: self._heap}
        steps_of = {reason: {entry[-1].step for entry in heap} for reason, heap in heaps.items()}
        queued = [entry[-1].step for heap in heaps.values() for entry in heap]
        assert len(queued) == len(set(queued)), "queued twice"
        assert ready >= set(queued), "queued, but not ready"
        for step, it in self._candidates.items():
            reason = it.waits_for
            assert (reason is not None) == (step in ready), step
            assert it.reported == reason, f"{step} waits for {reason}, reported: {it.reported}"
            for other, steps in steps_of.items():
                assert step not in steps or reason == other, step
            # A step that asks its pool, or that was refused by it, is in no heap.
            if reason is not None and reason not in (RETRY_DELAY, it.pool):
                assert step in steps_of[reason], step
