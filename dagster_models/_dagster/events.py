"""Events that Dagster has no step of its own for, and what events say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import DagsterEvent
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from dagster_models._dagster.steps import pool_of


def engine_event(
    context: PlanExecutionContext | PlanOrchestrationContext,
    message: str,
    metadata: Mapping[str, Any] | None = None,
) -> DagsterEvent:
    """An ENGINE_EVENT of the run, or of the step if *context* is a step's."""
    return DagsterEvent.engine_event(context, message, EngineEventData(metadata=metadata or {}))


def failure_event(context: StepExecutionContext, message: str) -> DagsterEvent:
    """STEP_FAILURE of a step that has no generator to say it."""
    told = SerializableErrorInfo(message=message, stack=[], cls_name=None)
    data = StepFailureData(told, user_failure_data=None)  # type: ignore[no-untyped-call]
    return DagsterEvent.step_failure_event(context, data)


def error_message(event: DagsterEvent) -> str:
    """What a STEP_FAILURE or STEP_UP_FOR_RETRY says went wrong, the innermost cause."""
    data: Any = event.event_specific_data
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else event.message or "failed"


def retry_after_seconds(event: DagsterEvent) -> float:
    """The delay that a STEP_UP_FOR_RETRY asks for; 0 for any other event."""
    data: Any = event.event_specific_data
    return float(getattr(data, "seconds_to_wait", None) or 0.0)


def pool_blocked(context: StepExecutionContext) -> DagsterEvent:
    """Tells the UI for which pool the step waits."""
    pool = pool_of(context.step) or ""
    return DagsterEvent.step_concurrency_blocked(context, pool, initial=True)
