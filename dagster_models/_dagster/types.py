"""The private types and settings of Dagster that other rooms name in their signatures."""

from __future__ import annotations

from dagster._core.execution.context.system import PlanExecutionContext, PlanOrchestrationContext
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config

__all__ = [
    "RETRIES_CONFIG",
    "TAG_LIMITS_CONFIG",
    "ExecutionPlan",
    "ExecutionStep",
    "KnownExecutionState",
    "PlanExecutionContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "StepOutputHandle",
]

#: How Dagster's own executors write the settings `retries` and `tag_concurrency_limits`.
RETRIES_CONFIG = get_retries_config()  # type: ignore[no-untyped-call]
TAG_LIMITS_CONFIG = get_tag_concurrency_limits_config()  # type: ignore[no-untyped-call]
