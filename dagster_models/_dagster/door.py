"""All names of this room in one namespace, until execution/ imports the modules themselves."""

from __future__ import annotations

from dagster import (
    DagsterEvent,
    DagsterExecutionInterruptedError,
    DagsterRun,
    Executor,
    StepExecutionContext,
)

from dagster_models._dagster.assets import (
    Selections,
    asset_of,
)
from dagster_models._dagster.event_log import (
    event_log_files,
    one_commit,
)
from dagster_models._dagster.events import (
    EngineEventData,
    engine_event,
    error_message,
    failure_event,
    pool_blocked,
    retry_after_seconds,
)
from dagster_models._dagster.logs import (
    StepLog,
    quiet_console,
)
from dagster_models._dagster.pools import (
    StepPools,
)
from dagster_models._dagster.runs import (
    configured_resources,
    execute_with,
    resumed_runs,
    stop_requested_by_user,
)
from dagster_models._dagster.signals import (
    interrupted,
    pop_captured_interrupt,
    waking_on_signals,
)
from dagster_models._dagster.step_generator import (
    Parked,
    exhaust,
    park,
    trigger_hooks,
)
from dagster_models._dagster.step_processes import (
    ChildProcessCrashException,
    execute_step_out_of_process,
    get_run_crash_explanation,
    serializable_error_info_from_exc_info,
)
from dagster_models._dagster.steps import (
    StepTraits,
    compute_function,
    executable_steps,
    known_state,
    pool_of,
    priority,
    traits,
    withheld_by,
)
from dagster_models._dagster.types import (
    RETRIES_CONFIG,
    TAG_LIMITS_CONFIG,
    ExecutionPlan,
    ExecutionStep,
    KnownExecutionState,
    PlanExecutionContext,
    PlanOrchestrationContext,
    RetryMode,
    StepOutputHandle,
)

__all__ = [
    "RETRIES_CONFIG",
    "TAG_LIMITS_CONFIG",
    "ChildProcessCrashException",
    "DagsterEvent",
    "DagsterExecutionInterruptedError",
    "DagsterRun",
    "EngineEventData",
    "ExecutionPlan",
    "ExecutionStep",
    "Executor",
    "KnownExecutionState",
    "Parked",
    "PlanExecutionContext",
    "PlanOrchestrationContext",
    "RetryMode",
    "Selections",
    "StepExecutionContext",
    "StepLog",
    "StepOutputHandle",
    "StepPools",
    "StepTraits",
    "asset_of",
    "compute_function",
    "configured_resources",
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
