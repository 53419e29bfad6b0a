"""The only door to Dagster's private modules.

Everything that reaches below ``dagster``'s public names stands in this folder, so that an upgrade
of Dagster is read against it alone. What each piece rests on is said beside it (Dagster 1.13).
"""

from __future__ import annotations

from dagster import DagsterEvent, DagsterRun
from dagster._core.events import EngineEventData
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.base import Executor
from dagster._core.executor.child_process_executor import ChildProcessCrashException
from dagster._core.executor.multiprocess import execute_step_out_of_process
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    INDEX_SHARD_NAME,
    SqliteEventLogStorage,
)
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS, create_db_conn_string
from dagster._serdes import ConfigurableClassData
from dagster._time import datetime_from_timestamp
from dagster._utils import get_run_crash_explanation
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import pop_captured_interrupt

from dagster_models._dagster.assets import Selections, asset_of
from dagster_models._dagster.events import (
    engine_event,
    error_message,
    failure_event,
    pool_blocked,
    retry_after_seconds,
)
from dagster_models._dagster.pools import StepPools
from dagster_models._dagster.runs import (
    StepLog,
    configured_resources,
    event_log_files,
    interrupted,
    quiet_console,
    resumed_runs,
    stop_requested_by_user,
    waking_on_signals,
)
from dagster_models._dagster.steps import (
    compute_function,
    executable_steps,
    execute_with,
    exhaust,
    known_state,
    one_commit,
    park,
    pool_of,
    priority,
    traits,
    trigger_hooks,
    withheld_by,
)

__all__ = [
    "INDEX_SHARD_NAME",
    "RETRIES_CONFIG",
    "SQLITE_BUSY_TIMEOUT_SECONDS",
    "TAG_LIMITS_CONFIG",
    "ChildProcessCrashException",
    "ConfigurableClassData",
    "DagsterEvent",
    "DagsterRun",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "Executor",
    "KnownExecutionState",
    "PlanExecutionContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "Selections",
    "SqliteEventLogStorage",
    "StepExecutionContext",
    "StepLog",
    "StepOutputHandle",
    "StepPools",
    "asset_of",
    "compute_function",
    "configured_resources",
    "create_db_conn_string",
    "datetime_from_timestamp",
    "engine_event",
    "error_message",
    "event_log_files",
    "executable_steps",
    "execute_step_out_of_process",
    "execute_with",
    "exhaust",
    "failure_event",
    "get_run_crash_explanation",
    "interrupted",
    "known_state",
    "one_commit",
    "park",
    "pool_blocked",
    "pool_of",
    "pop_captured_interrupt",
    "priority",
    "quiet_console",
    "resumed_runs",
    "retry_after_seconds",
    "serializable_error_info_from_exc_info",
    "stop_requested_by_user",
    "traits",
    "trigger_hooks",
    "waking_on_signals",
    "withheld_by",
]


RETRIES_CONFIG = get_retries_config()  # type: ignore[no-untyped-call]

TAG_LIMITS_CONFIG = get_tag_concurrency_limits_config()  # type: ignore[no-untyped-call]
