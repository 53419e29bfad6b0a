"""What the loop knows of an attempt that is in flight, from its start to its report."""

from __future__ import annotations

from dataclasses import dataclass

from dagster_models._dagster.logs import StepLog
from dagster_models._dagster.step_generator import ParkedStep
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import Task
from dagster_models.execution.runners.events import Lost
from dagster_models.execution.runners.task_runners import TaskRunner


@dataclass(slots=True)
class RunningStep:
    """An attempt of one of our steps.

    ``runner``: has the task; None before that. ``committed_in``: the earlier run that committed
    the step, "" if it is built in this one.
    """

    target_step: TargetStep
    attempt: int
    parked: ParkedStep
    runner: TaskRunner | None = None
    task: Task | None = None
    log: StepLog | None = None
    lost: Lost | None = None
    outcome: Outcome | None = None
    committed_in: str = ""


@dataclass(slots=True)
class RunningForeignStep:
    """An attempt of a step that is not ours."""

    attempt: int
    started_at: float
    outcome: Outcome | None = None
    retry_after_seconds: float = 0.0  # as Dagster's event of the retry says
