"""models_executor: one Dagster step per model, our workers, dbt's semantics.

ExecutionPlan ─> Plan ── instructions ──> Run (loop.py) ── tasks ──> WorkerPool ──> workers
                  ^                        │                             │
                  └──────── events ────────┴<──────── outcomes ──────────┘
                                           └──> DagsterEvents, terminal, journal, results
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from dagster import Any as AnyConfig
from dagster import Field, InitExecutorContext, Int, Noneable, String, executor

from dagster_models import _dagster as d
from dagster_models.collector import what_is_there_stays
from dagster_models.idle_connections import held_open
from dagster_models.loop import Run
from dagster_models.options import FAIL_FAST_TAG, TARGET_TAG, Options, read_fail_fast

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
    "retries": d.RETRIES_CONFIG,
    "tag_concurrency_limits": d.TAG_LIMITS_CONFIG,
}


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

    Raises:
        ValueError: a setting that is none of the allowed values.
    """
    config = init.executor_config
    slots: Any = config["max_concurrent"]
    if slots is not None and slots < 1:
        raise ValueError(f"max_concurrent is {slots}; at least one slot is needed")
    retries: Any = config["retries"]
    limits: Any = config.get("tag_concurrency_limits") or []
    for limit in limits:
        if limit["limit"] < 1:
            raise ValueError(
                f"tag_concurrency_limits: {limit}: nothing with that tag could ever run"
            )
    grace: Any = config["cancel_grace_seconds"]
    if grace < 0:
        raise ValueError(f"cancel_grace_seconds is {grace}; it may be 0 or more")
    target: Any = config["target"]
    return ModelsExecutor(
        Options(
            max_concurrent=slots,
            fail_fast=read_fail_fast(config["fail_fast"]),
            cancel_grace_seconds=float(grace),
            tag_concurrency_limits=tuple(limits),
            target=target,
        ),
        d.RetryMode.from_config(retries) or d.RetryMode.ENABLED,
    )


class ModelsExecutor(d.Executor):
    """See ``models_executor``."""

    def __init__(self, options: Options, retries: d.RetryMode) -> None:
        self._options, self._retries = options, retries

    @property
    def retries(self) -> d.RetryMode:
        return self._retries

    def execute(
        self, plan_context: d.PlanOrchestrationContext, execution_plan: d.ExecutionPlan
    ) -> Iterator[d.DagsterEvent]:
        d.quiet_console(plan_context)
        yield d.engine_event(
            plan_context, f"Executing steps with models_executor (pid: {os.getpid()})"
        )

        def loop(
            job_context: d.PlanExecutionContext, plan: d.ExecutionPlan
        ) -> Iterator[d.DagsterEvent]:
            d.quiet_console(job_context)
            try:
                run = Run(self, plan_context, job_context, plan, self._options)
            except Exception as error:  # e.g. no such target; the console would not tell
                print(f"The run cannot begin: {error}", file=sys.stderr)
                raise
            return run.events()

        with held_open(d.event_log_files(plan_context)) as event_log, what_is_there_stays():
            for event in d.execute_with(self, plan_context, loop):
                event_log.touch()
                yield event
