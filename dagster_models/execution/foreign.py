"""Dagster steps that are not ours (a user's own ``@asset`` in the same job): a process each."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from dagster import DagsterEventType

from dagster_models._dagster import door as d
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.errors import DagsterModelsError, ErrorKind
from dagster_models.execution.running_step import Flight
from dagster_models.scheduling.states import Cause, Event

_ENDS = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


class ForeignSteps:
    """Steps that are not ours, run as Dagster's multiprocess executor runs them: a process each.

    A thread follows each process and gives what it says to *tell*, as ``tell(step key, attempt,
    said)``: each DagsterEvent (written to the event log by the process itself), None when it is
    over, the error when it died.
    """

    def __init__(
        self,
        context: d.PlanOrchestrationContext,
        executor: d.Executor,
        execution_plan: d.ExecutionPlan,
        tell: Callable[[str, int, Any], None],
    ) -> None:
        self._context, self._executor, self._tell = context, executor, tell
        self._execution_plan = execution_plan
        self._outputs: set[d.StepOutputHandle] = set()  # that were produced in this run
        self._processes: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}

    def start(self, step: d.ExecutionStep, attempt: int) -> Iterator[d.DagsterEvent]:
        """Yields the event that its process is being started.

        Raises:
            DagsterUnmetExecutorRequirementsError: the job cannot be loaded in another process.
        """
        spawn = multiprocessing.get_context("spawn")
        state = d.known_state(self._execution_plan, {step.key: attempt - 1}, self._outputs)
        stop = self._stop[step.key] = spawn.Event()
        events = d.execute_step_out_of_process(
            spawn,
            self._context.reconstructable_job,
            self._context.for_step(step),
            step,
            {},
            self._processes,
            {step.key: stop},
            self._executor.retries,
            state,
            self._context.execution_plan.repository_load_data,
        )
        starting = next(events)
        if starting is not None:
            yield starting
        threading.Thread(
            target=self._follow,
            args=(step.key, attempt, events),
            daemon=True,
            name=f"follow-{step.key}",
        ).start()

    def _follow(self, key: str, attempt: int, events: Iterator[d.DagsterEvent | None]) -> None:
        try:
            for event in events:
                if event is not None:
                    self._tell(key, attempt, event)
            self._tell(key, attempt, None)
        except Exception as error:
            self._tell(key, attempt, error)

    def cancel(self, key: str) -> None:
        self._stop[key].set()

    def kill(self, key: str) -> None:
        process = self._processes.get(key)
        if process is not None and process.is_alive():
            process.kill()

    def heard(
        self, step: d.ExecutionStep, flight: Flight, said: Any, canceling: bool
    ) -> tuple[list[d.DagsterEvent], Event | None]:
        """What a process said: the DagsterEvents for Dagster, and what it means for the plan.

        It has written its events to the event log itself. ``canceling``: we asked it to stop.
        """
        if said is None:
            if flight.outcome is not None:
                return [], None
            said = DagsterModelsError("its process ended without a success or failure event")
        events = [said]
        if isinstance(said, BaseException):
            known = d.known_state(self._execution_plan, {step.key: flight.attempt - 1})
            events = list(self._died(step, said, known))
        meant: Event | None = None
        for event in events:
            if event.is_successful_output:
                self._outputs.add(event.step_output_data.step_output_handle)
            if event.event_type in _ENDS and flight.outcome is None:
                meant = self._ended(step.key, flight, event, canceling)
        # What we stopped is no cause of the run's failure.
        return [e for e in events if not (e.is_step_failure and canceling)], meant

    def _ended(self, step: str, flight: Flight, event: d.DagsterEvent, canceling: bool) -> Event:
        seconds = time.time() - flight.started_at
        outcome = Outcome(step, flight.attempt, Verdict.COMMITTED, flight.started_at, seconds)
        if event.event_type is DagsterEventType.STEP_SUCCESS:
            flight.outcome = outcome
            withheld = d.withheld_by(self._execution_plan, step, self._outputs)
            return Event(step, Cause.COMMITTED, withheld)
        error = TaskError(ErrorKind.STEP_FAILURE, d.error_message(event))
        flight.outcome = replace(outcome, verdict=Verdict.ROLLED_BACK, error=error)
        if canceling:  # interrupts obey the RetryPolicy: what we asked for decides
            return Event(step, Cause.CANCELED)
        flight.retry_after_seconds = d.retry_after_seconds(event)
        final = event.event_type is DagsterEventType.STEP_FAILURE
        return Event(step, Cause.ROLLED_BACK, final=final)

    def _died(
        self, step: d.ExecutionStep, error: BaseException, state: d.KnownExecutionState
    ) -> Iterator[d.DagsterEvent]:
        """The events of a process that ended without a word: what happened, failure or retry."""
        context = self._context.for_step(step)
        code = error.exit_code if isinstance(error, d.ChildProcessCrashException) else None
        try:
            raise error
        except BaseException:
            told = d.serializable_error_info_from_exc_info(sys.exc_info())
        prefix = f"The process of step {step.key}"
        message = f"{prefix}: {error}"
        if code is not None:
            message = d.get_run_crash_explanation(prefix, code)
        yield d.DagsterEvent.engine_event(context, message, d.EngineEventData.engine_error(told))
        yield self._executor.log_failure_or_retry_event_after_error(context, told, state)
