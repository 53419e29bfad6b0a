"""Foreign steps in flight: those that are not ours (a user's own ``@asset`` in the same job).

Their processes write their events to the event log themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dagster import DagsterEvent, DagsterEventType, Executor

from dagster_models._dagster.events import error_event, error_message, retry_after_seconds
from dagster_models._dagster.step_processes import (
    ChildProcessCrashException,
    get_run_crash_explanation,
)
from dagster_models._dagster.steps import known_state, withheld_outputs
from dagster_models._dagster.types import PlanOrchestrationContext, StepOutputHandle
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.errors import DagsterModelsError, ErrorKind
from dagster_models.execution.run_context import RunContext
from dagster_models.execution.runners.events import ForeignEnd, ForeignEvent, WorkerEvent
from dagster_models.execution.runners.foreign_processes import ForeignProcesses, ForeignTask
from dagster_models.execution.runners.step_runner import StepRunner
from dagster_models.execution.running_step import RunningForeignStep
from dagster_models.execution.timers import Due
from dagster_models.scheduling.states import Cause, Event, Report, Retry, Start, State
from dagster_models.util.steady_clock import steady_time

_ENDS = (
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
)


class ForeignSteps:
    """The steps of one run that are not ours. ``running``: those in flight, by step key."""

    def __init__(
        self,
        run: RunContext,
        context: PlanOrchestrationContext,
        executor: Executor,
    ) -> None:
        self.running: dict[str, RunningForeignStep] = {}
        self._run, self._context, self._executor = run, context, executor
        queue = run.runners.queue
        self._runner: StepRunner[ForeignTask, None] = ForeignProcesses(queue, context, executor)
        self._outputs: set[StepOutputHandle] = set()  # that were produced in this run

    def start(self, starts: Iterable[Start]) -> Iterable[DagsterEvent]:
        """Start these steps, each in a process of its own, whose events come through the queue.

        Raises:
            DagsterUnmetExecutorRequirementsError: the job cannot be loaded in another process.
        """
        run = self._run
        for it in starts:
            run.waits.turn(it.step, None)
            running = RunningForeignStep(it.attempt, steady_time())
            run.reporter.started(it.step, "")
            known = known_state(run.execution_plan, {it.step: it.attempt - 1}, self._outputs)
            self._runner.start(it.step, ForeignTask(run.steps[it.step], it.attempt, known), None)
            self.running[it.step] = running
        return ()

    def cancel(self, step: str) -> None:
        self._runner.cancel(step)

    def kill(self, step: str) -> None:
        self._runner.kill(step)

    def on(self, event: WorkerEvent) -> Iterator[DagsterEvent]:
        """Turn what a step's process reports into an event for the plan; yields DagsterEvents."""
        running = self.running.get(event.step)
        if running is None or not isinstance(event, (ForeignEvent, ForeignEnd)):
            return
        if event.attempt != running.attempt:
            return  # a process lives a little longer than its last event
        if isinstance(event, ForeignEvent):
            events = [event.event]
        elif event.error is not None:
            events = list(self._events_of_death(event.step, running, event.error))
        elif running.outcome is None:
            error = DagsterModelsError("its process ended without a success or failure event")
            events = list(self._events_of_death(event.step, running, error))
        else:
            return
        canceling = self._run.plan.state(event.step) is State.CANCELING
        for it in events:
            if it.is_successful_output:
                self._outputs.add(it.step_output_data.step_output_handle)
            if it.event_type in _ENDS and running.outcome is None:
                self._run.todo.append(self._end(event.step, running, it, canceling))
        # A step that we stopped is not a cause of the run's failure.
        yield from (it for it in events if not (it.is_step_failure and canceling))

    def _end(
        self, step: str, running: RunningForeignStep, event: DagsterEvent, canceling: bool
    ) -> Event:
        seconds = steady_time() - running.started_at
        outcome = Outcome(step, running.attempt, Verdict.DONE, running.started_at, seconds)
        if event.event_type is DagsterEventType.STEP_SUCCESS:
            running.outcome = outcome
            withheld = withheld_outputs(self._run.steps[step], self._outputs)
            return Event(step, Cause.COMMITTED, withheld)
        error = TaskError(ErrorKind.STEP_FAILURE, error_message(event))
        running.outcome = replace(outcome, verdict=Verdict.FAILED, error=error)
        if canceling:  # Dagster retries interrupted steps, too: what we asked for decides
            return Event(step, Cause.CANCELED)
        running.retry_after_seconds = retry_after_seconds(event)
        final = event.event_type is DagsterEventType.STEP_FAILURE
        return Event(step, Cause.ROLLED_BACK, final=final)

    def _events_of_death(
        self, step: str, running: RunningForeignStep, error: Exception
    ) -> Iterator[DagsterEvent]:
        """The events that a dead process could not write: what happened, and failure or retry."""
        context = self._context.for_step(self._run.steps[step])
        code = error.exit_code if isinstance(error, ChildProcessCrashException) else None
        prefix = f"The process of step {step}"
        message = f"{prefix}: {error}"
        if code is not None:
            message = get_run_crash_explanation(prefix, code)
        event, info = error_event(context, message, error)
        yield event
        known = known_state(self._run.execution_plan, {step: running.attempt - 1})
        yield self._executor.log_failure_or_retry_event_after_error(context, info, known)

    def retry(self, retry: Retry) -> Iterable[DagsterEvent]:
        """Wait for the delay of the next attempt, for which the step's process has decided."""
        running = self.running.pop(retry.step)
        self._run.pools.free(retry.step)
        delay = running.retry_after_seconds
        self._run.timers.add(delay, Due("delay", retry.step, retry.attempt))
        return ()

    def report(self, reports: Iterable[Report]) -> Iterable[DagsterEvent]:
        """Report the ends of running steps; Dagster knows them already."""
        for report in reports:
            running = self.running.pop(report.step)
            self._run.report_end(report, running.outcome)
            self._run.pools.free(report.step)
        return ()
