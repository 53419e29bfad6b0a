"""Errors that Dagster writes to its event log without stack frames.

Dagster writes the frames of whatever a compute function raises. If only the user's SQL failed, all
of them are Dagster's and ours, and hide the one line that matters. A
``DagsterUserCodeProcessError`` is written as the value that it carries instead, as it is meant for
an error of another process, which these are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Failure, RetryRequested
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo


class StepFailed(DagsterUserCodeProcessError, Failure):
    """The step failed, and is not tried again: nothing of it was published.

    Its bases make it an error of Dagster's own, which no RetryPolicy applies to. Where Dagster is
    to decide about another attempt, raise ``Failure``.
    """

    def __init__(self, text: str, metadata: Mapping[str, Any] | None = None) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            text,
            metadata=metadata,
            allow_retries=False,
            user_code_process_error_infos=[_info(self, text)],
        )


class StepCanceled(StepFailed):
    """Stopped on request and rolled back. Dagster has no event for it but STEP_FAILURE."""


class AttemptFailed(DagsterUserCodeProcessError, RetryRequested):
    """The attempt failed, and another one follows."""

    def __init__(self, text: str, max_retries: int, seconds_to_wait: float | None) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            max_retries=max_retries,
            seconds_to_wait=seconds_to_wait,
            user_code_process_error_infos=[_info(self, text)],
        )


def _info(error: Exception, text: str) -> SerializableErrorInfo:
    return SerializableErrorInfo(message=f"{text}\n", stack=[], cls_name=type(error).__name__)
