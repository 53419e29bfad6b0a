"""What the loop knows of an attempt that is under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dagster_models import _dagster as d
from dagster_models.core.messages import Outcome, Task
from dagster_models.worker_pool import Lost


@dataclass(frozen=True, slots=True)
class Spoke:
    """What a foreign step's process said: an event, None at its end, or the error it died of."""

    step: str
    attempt: int
    said: Any


@dataclass(frozen=True, slots=True)
class Previous:
    """Whether the relation of a step that failed can be read: an earlier run's. ``error``: why
    that could not be told."""

    step: str
    kept: bool
    error: str = ""


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
