"""What the loop knows of an attempt that is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dagster_models._dagster import door as d
from dagster_models.core.messages import Outcome, Task
from dagster_models.execution.events import Lost


@dataclass(slots=True)
class Flight:
    """One attempt of a step, from its start to its report."""

    context: d.StepExecutionContext
    attempt: int
    started_at: float
    task: Task | None = None  # None: a foreign step
    events: Iterator[d.DagsterEvent] | None = None
    start_event: d.DagsterEvent | None = None
    outcome: Outcome | None = None
    lost: Lost | None = None
    log: d.StepLog | None = None
    committed_in: str = ""  # an earlier run, that this one goes on from
    killed: bool = False
    retry_after_seconds: float = 0.0  # what Dagster says of a foreign step
