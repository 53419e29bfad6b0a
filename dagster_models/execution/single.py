"""One step alone, under an executor that is not ours (in_process, ``materialize()`` in a test)."""

from __future__ import annotations

import sys
from contextlib import closing
from functools import partial

from dagster_models.compilation.tasks import TargetStep, schemas, task_for
from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import ChecksTask, RunnerKind, Task, sent_sql
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import DagsterModelsError
from dagster_models.execution.attempt_results import AttemptResult
from dagster_models.execution.code_changes import in_full_after_a_change
from dagster_models.execution.lookup import commit_of, settled_outcome
from dagster_models.execution.outcomes import failed_to_start, lost_outcome, shown
from dagster_models.execution.runners.event_queue import EventQueue
from dagster_models.execution.runners.events import Answered, Lost, NotStarted, Output, Settled
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.processes.client.session import Session
from dagster_models.reporting.results import ResultState
from dagster_models.reporting.step_results import step_result
from dagster_models.util.secrets import without
from dagster_models.util.steady_clock import steady_time


def run_alone(target_step: TargetStep, run_id: str, attempt: int) -> AttemptResult:
    """The result of one attempt of a step, which runs here and now with runners of its own.

    If the wait is interrupted (Ctrl-C, Dagster's termination), the workers are ended, and what was
    not committed is rolled back.
    """
    began, sql = steady_time(), ""
    with closing(TaskRunners()) as runners:
        try:
            (target_step,) = in_full_after_a_change({"": target_step}).values()
            task = task_for(target_step, run_id, attempt)
            sql = sent_sql(task)
            if target_step.builds:
                runners.sql.prepare(target_step.address, schemas({target_step.name: target_step}))
                runners.queue.wait(0)  # takes the session in
            runners.of(task).start(target_step.name, task, target_step.address)
            outcome = _wait(runners.queue, task, target_step.address, began)
            sql = sent_sql(task, outcome.changes)
        except (DagsterModelsError, OSError) as error:
            outcome = failed_to_start(target_step.name, attempt, error, began)
    state: ResultState = "succeeded" if outcome.succeeded else "failed"
    secrets = target_step.project.secrets
    outcome = shown(outcome, secrets)
    return AttemptResult(
        target_step,
        step_result(target_step.name, target_step, state, outcome, attempt),
        outcome,
        decided=outcome.error is not None and outcome.error.final,
        sql=without(sql, secrets),
    )


def run_checks(session: Session, task: ChecksTask, address: WarehouseAddress) -> Outcome:
    """Run checks on a session; those that are Python functions need a process of their own, which
    opens another one there."""
    if task.runner is RunnerKind.WAREHOUSE:
        return session.run(task)
    began = steady_time()
    with closing(TaskRunners()) as runners:
        try:
            runners.of(task).start(task.step, task, address)
        except OSError as error:
            return failed_to_start(task.step, task.attempt, error, began)
        return _wait(runners.queue, task, address, began)


def _wait(queue: EventQueue, task: Task, address: WarehouseAddress, began: float) -> Outcome:
    """Wait for the outcome; that of a lost worker is read from the commit record."""
    lost: Outcome | None = None
    while True:
        for event in queue.wait(None):
            if isinstance(event, Output):
                stream = sys.stderr if event.stream == "stderr" else sys.stdout
                print(event.text, end="", file=stream)  # None: closed by whoever started it
            elif isinstance(event, Answered):
                return event.outcome
            elif isinstance(event, NotStarted):
                return failed_to_start(task.step, task.attempt, event.error, began)
            elif isinstance(event, Lost):
                lost = lost_outcome(task.step, task.attempt, event.message, began)
                queue.ask_in_thread(partial(commit_of, event, task, address), "settle")
            elif isinstance(event, Settled) and lost is not None:
                return settled_outcome(lost, event, task)
