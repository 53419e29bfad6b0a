"""Drive Dagster's own generator of a step: park it while a worker works, exhaust it afterwards.

The generator (``dagster_event_sequence_for_step``) writes a step's events to the event log, so
data versions, retries, hooks and check results are Dagster's own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dagster import DagsterEvent, StepExecutionContext
from dagster._core.execution.plan import execute_step
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step

from dagster_models._dagster.event_log import one_commit
from dagster_models.util.steady_clock import steady_time


@dataclass(frozen=True, slots=True)
class ParkedStep:
    """A step whose generator is parked at STEP_START.

    ``rest``: its other events. They must be exhausted, never dropped: Dagster turns a
    GeneratorExit into a STEP_FAILURE, which would be false.
    """

    context: StepExecutionContext
    started_at: float
    start_event: DagsterEvent
    rest: Iterator[DagsterEvent]


def park(context: StepExecutionContext) -> ParkedStep:
    """Start a step's generator and park it at STEP_START, before any context manager is open."""
    started_at, events = steady_time(), dagster_event_sequence_for_step(context)
    return ParkedStep(context, started_at, next(events), events)


_one_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dagster_models-events")


def exhaust(parked: Sequence[ParkedStep]) -> list[list[DagsterEvent]]:
    """The rest of each of these steps of one run, which are over; in one commit if possible.

    This works in a thread of its own, because ``raise_execution_interrupts`` makes a signal raise
    inside the compute function of the main thread: a step that has committed would be written as a
    failure. If one generator raises, the others are exhausted all the same.
    """
    return _one_thread.submit(_exhaust, parked).result()


def _exhaust(parked: Sequence[ParkedStep]) -> list[list[DagsterEvent]]:
    # Dagster's step timer starts after STEP_START, where the generator was parked: set it back.
    original = execute_step.time_execution_scope  # type: ignore[attr-defined]
    found: list[list[DagsterEvent]] = []
    raised: list[BaseException] = []

    @contextlib.contextmanager
    def since_the_start() -> Iterator[Any]:
        with original() as timer:
            timer.start_time -= steady_time() - it.started_at
            yield timer

    execute_step.time_execution_scope = since_the_start  # type: ignore[attr-defined]
    try:
        with one_commit(parked[0].context):
            for it in parked:
                try:
                    found.append([_with_tags_of(it.start_event, event) for event in it.rest])
                except BaseException as error:
                    raised.append(error)
    finally:
        execute_step.time_execution_scope = original  # type: ignore[attr-defined]
    if raised:
        raise raised[0]
    return found


def _with_tags_of(start: DagsterEvent, event: DagsterEvent) -> DagsterEvent:
    """The event, with the same dictionary of tags as *start* has. Dagster makes one for each event,
    and keeps the events for the result of the run: these were a KiB of each step."""
    if event.logging_tags != start.logging_tags:
        return event
    return event._replace(logging_tags=start.logging_tags)


def trigger_hooks(context: StepExecutionContext, events: Sequence[DagsterEvent]) -> Iterator[Any]:
    """Run the op's success and failure hooks on the events of its step."""
    return _trigger_hook(context, events)
