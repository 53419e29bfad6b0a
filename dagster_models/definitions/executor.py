"""models_executor: one Dagster step per model, our workers, dbt's semantics.

ExecutionPlan ─> Plan ── instructions ──> Run (loop.py) ── tasks ──> WorkerPool ──> workers
                  ^                        │                             │
                  └──────── events ────────┴<──────── outcomes ──────────┘
                                           └──> DagsterEvents, terminal, journal, results
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from dagster import Any as AnyConfig
from dagster import (
    DagsterEvent,
    Executor,
    Field,
    InitExecutorContext,
    Int,
    Noneable,
    String,
    executor,
)

from dagster_models._dagster.event_log import event_log_files
from dagster_models._dagster.events import engine_event
from dagster_models._dagster.idle_connections import held_open
from dagster_models._dagster.logs import quiet_console
from dagster_models._dagster.runs import configured_resources, execute_with
from dagster_models._dagster.types import (
    RETRIES_CONFIG,
    TAG_LIMITS_CONFIG,
    ExecutionPlan,
    PlanExecutionContext,
    PlanOrchestrationContext,
    RetryMode,
)
from dagster_models.definitions.resource import WarehouseResource
from dagster_models.execution.loop import Run
from dagster_models.execution.options import FAIL_FAST_TAG, TARGET_TAG, options_of
from dagster_models.util.gc_tuning import what_is_there_stays

_CONFIG = {
    "max_concurrent": Field(
        Noneable(Int),
        default_value=None,
        description="How many steps may be in flight at once, SQL and Python together. Default: "
        "the target's `threads`, else the number of cores.",
    ),
    "fail_fast": Field(
        Noneable(AnyConfig),
        default_value=None,
        description="false: what does not depend on a failure goes on. true: the first failure "
        "stops the run and cancels what is in flight. drain: it starts nothing more, what is in "
        f"flight may finish. The run tag {FAIL_FAST_TAG} goes before it; default: "
        "dagster_models.yaml, else false.",
    ),
    "target": Field(
        Noneable(String),
        default_value=None,
        description="The target of dagster_models.yaml that this run builds in. The run tag "
        f"{TARGET_TAG} goes before it; default: the project's.",
    ),
    "cancel_grace_seconds": Field(
        float,
        default_value=10.0,
        description="How long a step that was asked to stop may take before its worker is killed.",
    ),
    "retries": RETRIES_CONFIG,
    "tag_concurrency_limits": TAG_LIMITS_CONFIG,
}


_OF_OTHERS = (
    "The run config of the resource {key} holds for your own assets only: the models are built in"
    " their target, which `execution: config: target` chooses"
)


@executor(name="models_executor", config_schema=_CONFIG)
def models_executor(init: InitExecutorContext) -> ModelsExecutor:
    """Runs SQL in warehouse sessions and Python in worker processes, many at a time.

    Skips what is downstream of a failure, stops at the first failure if told so (``fail_fast``),
    and reports each step as the warehouse answered. Other Dagster steps of the same job run too, a
    process each, under the same limit. Default executor of ``load_project``'s Definitions::

        execution:
          config:
            max_concurrent: 8
            fail_fast: true

    What the settings say is read when the run begins: Dagster takes an error in this function for
    one of its own, and the run's failure, which alerts see, would not tell it.
    """
    config: Any = init.executor_config
    return ModelsExecutor(config, RetryMode.from_config(config["retries"]) or RetryMode.ENABLED)


class ModelsExecutor(Executor):
    """See ``models_executor``."""

    def __init__(self, config: Mapping[str, Any], retries: RetryMode) -> None:
        self._config, self._retries = config, retries

    @property
    def retries(self) -> RetryMode:
        return self._retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        quiet_console(plan_context)
        yield engine_event(
            plan_context, f"Executing steps with models_executor (pid: {os.getpid()})"
        )

        def loop(job_context: PlanExecutionContext, plan: ExecutionPlan) -> Iterator[DagsterEvent]:
            quiet_console(job_context)
            try:
                run = Run(
                    self,
                    plan_context,
                    job_context,
                    plan,
                    options_of(self._config),
                    warnings=[
                        _OF_OTHERS.format(key=key)
                        for key in configured_resources(job_context, WarehouseResource)
                    ],
                )
            except Exception as error:  # e.g. no such target; the console would not tell
                print(f"The run cannot begin: {error}", file=sys.stderr)
                raise
            return run.events()

        with held_open(event_log_files(plan_context)) as event_log, what_is_there_stays():
            for event in execute_with(self, plan_context, loop):
                event_log.touch()
                yield event
