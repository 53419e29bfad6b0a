"""The runners of our own tasks, with the queue to which they report."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, TypeAlias

from dagster_models.core.tasks import RunnerKind, Task
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.on_ray.steps import RaySteps
from dagster_models.execution.runners.python_workers import PythonWorkers
from dagster_models.execution.runners.sql_sessions import SqlSessions
from dagster_models.execution.runners.step_runner import StepRunner

#: Runs what is ours.
TaskRunner: TypeAlias = StepRunner[Any, WarehouseAddress]


class TaskRunners:
    """One runner of each kind, for one run. Close it at the end of the run."""

    def __init__(self) -> None:
        self.queue = EventQueue()
        self.sql = SqlSessions(self.queue)
        self.python = PythonWorkers(self.queue)
        self.ray = RaySteps(self.queue)
        self._runners: Mapping[RunnerKind, TaskRunner] = {
            RunnerKind.WAREHOUSE: self.sql,
            RunnerKind.PYTHON: self.python,
            RunnerKind.RAY: self.ray,
        }

    def of(self, task: Task) -> TaskRunner:
        """The runner that a task needs."""
        return self._runners[task.runner]

    def cancel(self, step: str) -> None:
        """Ask a step to stop, wherever it runs."""
        for runner in self._runners.values():
            runner.cancel(step)

    def kill(self, step: str) -> None:
        """End a step that did not stop in time, wherever it runs."""
        for runner in self._runners.values():
            runner.kill(step)

    def close(self) -> None:
        """End all workers; what is still in flight is interrupted and rolled back."""
        with contextlib.ExitStack() as stack:
            for it in (self.queue, self.python, self.ray, self.sql):  # the last one is closed first
                stack.callback(it.close)
