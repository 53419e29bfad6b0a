"""Make DagsterEvents that no step generator makes, and read what others say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from traceback import TracebackException
from typing import Any

from dagster import AssetCheckResult, AssetObservation, DagsterEvent, StepExecutionContext
from dagster._core.events import EngineEventData
from dagster._core.execution.plan.objects import StepFailureData
from dagster_shared.error import SerializableErrorInfo

from dagster_models._dagster.steps import pool_of
from dagster_models._dagster.types import PlanExecutionContext, PlanOrchestrationContext


def engine_event(
    context: PlanExecutionContext | PlanOrchestrationContext,
    message: str,
    metadata: Mapping[str, Any] | None = None,
) -> DagsterEvent:
    """An ENGINE_EVENT of the run, or of the step if *context* is a step's."""
    return DagsterEvent.engine_event(context, message, EngineEventData(metadata=metadata or {}))


def failure_event(context: StepExecutionContext, message: str) -> DagsterEvent:
    """The STEP_FAILURE of a step that has no generator."""
    error = SerializableErrorInfo(message=message, stack=[], cls_name=None)
    data = StepFailureData(error, user_failure_data=None)  # type: ignore[no-untyped-call]
    return DagsterEvent.step_failure_event(context, data)


def left_alone(
    context: StepExecutionContext,
    message: str,
    metadata: Mapping[str, Any],
    checks: Sequence[AssetCheckResult],
) -> Iterator[DagsterEvent]:
    """The events of a step that is not run, as what it builds is as it should be: an observation of
    the asset and the results of its checks. It is no materialization, as nothing was built.

    STEP_SKIPPED is right here: a re-execution from failure has no reason to run the step.
    """
    context.log.info(message)
    yield from observations(context, message, metadata)
    yield from check_results(context, checks)
    yield DagsterEvent.step_skipped_event(context)


def observations(
    context: StepExecutionContext, message: str, metadata: Mapping[str, Any]
) -> Iterator[DagsterEvent]:
    """What became of a step, on the page of each asset that it was to build."""
    keys = (output.properties.asset_key for output in context.step.step_outputs)
    for key in filter(None, keys):
        observation = AssetObservation(key, description=message, metadata=metadata)
        yield DagsterEvent.asset_observation(context, observation)


def check_results(
    context: StepExecutionContext, checks: Sequence[AssetCheckResult]
) -> Iterator[DagsterEvent]:
    """The events of checks that ran outside of their step."""
    for check in checks:
        evaluation = check.to_asset_check_evaluation(context)
        yield DagsterEvent.asset_check_evaluation(context, evaluation)


def pool_blocked(context: StepExecutionContext) -> DagsterEvent:
    """The event by which the UI shows for which concurrency pool the step waits."""
    pool = pool_of(context.step) or ""
    return DagsterEvent.step_concurrency_blocked(context, pool, initial=True)


def error_event(
    context: Any, message: str, error: BaseException
) -> tuple[DagsterEvent, SerializableErrorInfo]:
    """An ENGINE_EVENT of the run or step of *context*, and its error as Dagster stores it."""
    info = SerializableErrorInfo.from_traceback(TracebackException.from_exception(error))
    return DagsterEvent.engine_event(context, message, EngineEventData.engine_error(info)), info


def error_message(event: DagsterEvent) -> str:
    """The message of the innermost cause of a STEP_FAILURE or STEP_UP_FOR_RETRY."""
    data: Any = event.event_specific_data
    error = getattr(data, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else event.message or "failed"


def retry_after_seconds(event: DagsterEvent) -> float:
    """The delay that a STEP_UP_FOR_RETRY asks for; 0 for any other event."""
    data: Any = event.event_specific_data
    return float(getattr(data, "seconds_to_wait", None) or 0.0)
