"""Runs Dagster steps that are not ours (a user's own ``@asset`` in the same job).

Each gets a process of its own, as Dagster's multiprocess executor does it, and a thread that
follows the process.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dagster import DagsterEvent, Executor

from dagster_models._dagster.step_processes import execute_step_out_of_process
from dagster_models._dagster.types import (
    ExecutionStep,
    KnownExecutionState,
    PlanOrchestrationContext,
)
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import ForeignEnd, ForeignEvent


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """One attempt of a foreign step; ``known``: what it must know of the run so far."""

    step: ExecutionStep
    attempt: int
    known: KnownExecutionState


class ForeignProcesses:
    """The processes of the foreign steps of one run; a StepRunner."""

    def __init__(
        self, queue: EventQueue, context: PlanOrchestrationContext, executor: Executor
    ) -> None:
        self._queue, self._context, self._executor = queue, context, executor
        self._processes: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}

    def start(self, step: str, task: ForeignTask, target: None) -> None:
        """Start the step's process, which finds its resources by itself.

        Raises:
            DagsterUnmetExecutorRequirementsError: the job cannot be loaded in another process.
        """
        spawn = multiprocessing.get_context("spawn")
        stop = self._stop[step] = spawn.Event()
        events = execute_step_out_of_process(
            spawn,
            self._context.reconstructable_job,
            self._context.for_step(task.step),
            task.step,
            {},
            self._processes,
            {step: stop},
            self._executor.retries,
            task.known,
            self._context.execution_plan.repository_load_data,
        )
        starting = next(events)  # the process is started in this thread
        if starting is not None:
            self._queue.put(ForeignEvent(step, task.attempt, starting))
        threading.Thread(
            target=self._follow,
            args=(step, task.attempt, events),
            daemon=True,
            name=f"follow-{step}",
        ).start()

    def cancel(self, step: str) -> None:
        """Interrupt the step's code."""
        stop = self._stop.get(step)
        if stop is not None:
            stop.set()

    def kill(self, step: str) -> None:
        """SIGKILL."""
        process = self._processes.get(step)
        if process is not None and process.is_alive():
            process.kill()

    def close(self) -> None:
        """Nothing to do: the processes are Dagster's own, and end with this one."""

    def _follow(self, step: str, attempt: int, events: Iterator[DagsterEvent | None]) -> None:
        try:
            for event in events:
                if event is not None:
                    self._queue.put(ForeignEvent(step, attempt, event))
            self._queue.put(ForeignEnd(step, attempt))
        except Exception as error:
            self._queue.put(ForeignEnd(step, attempt, error))
