"""Dagster steps that are not ours (a user's own ``@asset`` in the same job): a process each."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from dagster_models import _dagster as d


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
        tell: Callable[[str, int, Any], None],
    ) -> None:
        self._context, self._executor, self._tell = context, executor, tell
        self._processes: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}

    def start(
        self, step: d.ExecutionStep, attempt: int, state: d.KnownExecutionState
    ) -> Iterator[d.DagsterEvent]:
        """Yields the event that its process is being started.

        Raises:
            DagsterUnmetExecutorRequirementsError: the job cannot be loaded in another process.
        """
        spawn = multiprocessing.get_context("spawn")
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

    def died(
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
