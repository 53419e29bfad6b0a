"""Slots in Dagster's concurrency pools: which steps have one, and when others ask again."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import TracebackType

from dagster_models._dagster.pools import StepPools
from dagster_models._dagster.types import ExecutionStep, PlanExecutionContext
from dagster_models.execution.timers import Due, Timers
from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.states import Cause, Event, State

_POLL_SECONDS = 1.0  # Dagster itself asks a concurrency pool no more often


class PoolSlots:
    """The pool slots of one run. Use as a context manager: its end gives back what is claimed."""

    def __init__(
        self,
        job: PlanExecutionContext,
        steps: Mapping[str, ExecutionStep],
        plan: Plan,
        timers: Timers,
        todo: deque[Event],
    ) -> None:
        self._steps, self._plan, self._timers, self._todo = steps, plan, timers, todo
        self._pools = StepPools(job)
        self._claims: dict[str, int] = {}  #: how often a step has asked its pool

    def __enter__(self) -> PoolSlots:
        self._pools.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pools.__exit__(kind, error, trace)

    def claim(self, step: str) -> None:
        """Ask the step's pool for a slot, and report the answer to the plan.

        If there is no free slot, ask again later.
        """
        if self._plan.state(step) is not State.READY:
            return  # it was given up meanwhile
        count = self._claims[step] = self._claims.get(step, 0) + 1
        if self._pools.claim(self._steps[step]):
            self._todo.append(Event(step, Cause.CLAIMED))
            return
        self._todo.append(Event(step, Cause.BLOCKED))
        self._timers.add(_POLL_SECONDS, Due("claim", step, count))

    def claim_again(self, due: Due) -> None:
        """Ask again, as a timer is due."""
        if self._claims[due.step] == due.attempt:  # else it has asked since, and may have its slot
            self.claim(due.step)

    def free(self, step: str) -> None:
        """Give the step's slot back, and let those that wait for one ask at once."""
        for waiting in self._pools.free(self._steps[step]):
            self._timers.add(0.0, Due("claim", waiting, self._claims[waiting]))
