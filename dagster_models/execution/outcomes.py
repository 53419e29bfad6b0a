"""The outcomes of attempts for which no runner reported one, and what is shown of outcomes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from dagster_models.core.messages import CheckOutcome, Outcome, TaskError, Verdict
from dagster_models.errors import (
    BrokenFile,
    Canceled,
    DagsterModelsError,
    ErrorKind,
    SqlSyntaxError,
    WarehouseError,
)
from dagster_models.util.secrets import without
from dagster_models.util.steady_clock import steady_time


def lost_outcome(step: str, attempt: int, message: str, started_at: float) -> Outcome:
    """The outcome of an attempt whose worker is gone, as long as nothing better is known."""
    error = TaskError(ErrorKind.WORKER_LOST, message)
    return _outcome(step, attempt, Verdict.UNKNOWN, error, started_at)


def failed_to_start(step: str, attempt: int, error: Exception, started_at: float) -> Outcome:
    """The outcome of an attempt that no worker ever had."""
    verdict = Verdict.CANCELED if isinstance(error, Canceled) else Verdict.ROLLED_BACK
    return _outcome(step, attempt, verdict, _task_error(error), started_at)


def _task_error(error: Exception) -> TaskError:
    if isinstance(error, WarehouseError):
        return TaskError.of(error)
    if isinstance(error, SqlSyntaxError):
        return TaskError(ErrorKind.SYNTAX, error.what, line=error.line)
    if isinstance(error, BrokenFile):
        return TaskError(ErrorKind.BROKEN_FILE, str(error), final=True)
    if isinstance(error, DagsterModelsError):
        return TaskError(ErrorKind.INTERNAL, str(error))
    return TaskError(ErrorKind.OTHER, str(error), type(error).__name__)


def _outcome(
    step: str, attempt: int, verdict: Verdict, error: TaskError, started_at: float
) -> Outcome:
    return Outcome(
        step=step,
        attempt=attempt,
        verdict=verdict,
        started_at=started_at,
        seconds=max(0.0, steady_time() - started_at),
        error=error,
    )


def shown(outcome: Outcome, secrets: Collection[str]) -> Outcome:
    """The outcome without secrets: a driver quotes the SQL that it was sent, with its literals."""
    if not secrets:
        return outcome
    checks = tuple(_shown_check(check, secrets) for check in outcome.checks)
    notes = tuple(without(note, secrets) for note in outcome.notes)
    return replace(outcome, error=_shown(outcome.error, secrets), checks=checks, notes=notes)


def _shown_check(check: CheckOutcome, secrets: Collection[str]) -> CheckOutcome:
    return replace(
        check,
        error=_shown(check.error, secrets),
        sample=tuple(
            tuple(value if value is None else without(value, secrets) for value in row)
            for row in check.sample
        ),
        query=without(check.query, secrets),
        found=without(check.found, secrets),
    )


def _shown(error: TaskError | None, secrets: Collection[str]) -> TaskError | None:
    if error is None:
        return None
    message, trace = (without(text, secrets) for text in (error.message, error.traceback))
    return replace(error, message=message, traceback=trace)
