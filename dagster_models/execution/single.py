"""One step by itself, for executors that are not ours (in_process, ``materialize()`` in a test)."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from dagster_models.compilation.tasks import TargetStep, schemas, task_for, warehouse_spec
from dagster_models.core.messages import Outcome, Task, Verdict
from dagster_models.errors import DagsterModelsError
from dagster_models.execution.attempt_results import Attempt
from dagster_models.execution.events import Answered, Lost, NotStarted, Output, Settled
from dagster_models.execution.worker_pool import WorkerPool
from dagster_models.reporting.reporter import failed_to_start, lost_outcome, why
from dagster_models.scheduling.states import State


def run_alone(binding: TargetStep, run_id: str, attempt: int) -> Attempt:
    """Run one attempt of a step in a worker pool of its own, to its end.

    What interrupts the wait (Ctrl-C, Dagster's termination) ends the workers: what was not
    committed is rolled back.
    """
    began, sql = time.time(), ""
    spec = warehouse_spec(binding.project, binding.target)
    with closing(WorkerPool()) as pool:
        try:
            task = task_for(binding, run_id, attempt)
            sql = task.sql
            pool.prepare(spec, schemas({binding.name: binding}))
            pool.wait(0)  # takes the session in
            pool.start(binding.name, task, spec)
            outcome = _wait(pool, task, spec, began)
        except (DagsterModelsError, OSError) as error:
            outcome = failed_to_start(binding.name, attempt, error, began)
    committed = outcome.verdict is Verdict.COMMITTED
    return Attempt(
        outcome,
        State.SUCCEEDED if committed else State.FAILED,
        "" if committed else why(binding, outcome),
        decided=outcome.error is not None and outcome.error.final,
        sql=sql,
    )


def _wait(pool: WorkerPool, task: Task, spec: Mapping[str, Any], began: float) -> Outcome:
    """Until the outcome is there; a lost worker's is read from the commit record."""
    lost: Outcome | None = None
    while True:
        for happening in pool.wait(None):
            if isinstance(happening, Output):
                stream = sys.stderr if happening.stream == "stderr" else sys.stdout
                print(happening.text, end="", file=stream)  # None: closed by whoever started it
            elif isinstance(happening, Answered):
                return happening.outcome
            elif isinstance(happening, NotStarted):
                return failed_to_start(task.step, task.attempt, happening.error, began)
            elif isinstance(happening, Lost):
                lost = lost_outcome(task.step, task.attempt, happening.message, began)
                if task.kind == "script":
                    return lost
                pool.settle(happening, task, spec)
            elif isinstance(happening, Settled) and lost is not None:
                if happening.committed:
                    return replace(lost, verdict=Verdict.COMMITTED, error=None)
                return lost
