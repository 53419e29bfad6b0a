"""The outcomes of attempts for which no runner reported one."""

from __future__ import annotations

from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.errors import (
    Canceled,
    DagsterModelsError,
    ErrorKind,
    SqlSyntaxError,
    WarehouseError,
)
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
