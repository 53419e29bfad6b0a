"""models_executor: the executor of runs of a project, as Dagster configures and starts it.

ExecutionPlan ──> Plan ── instructions ──> Run (loop.py) ── tasks ──> StepRunners
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
from dagster_models.core.model import Project
from dagster_models.definitions.resource import (
    WarehouseResource,
    given_resource,
    refuse_another_warehouse,
)
from dagster_models.definitions.run_variables import loaded_with
from dagster_models.definitions.stock_event_log import advice_for_run
from dagster_models.execution.deferral import DEFER_TAG, DEFER_VARIABLE
from dagster_models.execution.loop import Run
from dagster_models.execution.options import (
    CHECKS_TAG,
    FAIL_FAST_TAG,
    FULL_REFRESH_TAG,
    ONLY_CHANGED_TAG,
    TARGET_TAG,
    chosen_target,
    options_of,
)
from dagster_models.execution.run_variables import VARS_TAG, given_variables
from dagster_models.execution.step_functions import target_step_of

_CONFIG = {
    "max_concurrent": Field(
        Noneable(Int),
        default_value=None,
        description="How many steps may run at once, SQL and Python together. Default: the "
        "target's `threads`, or else the number of cores.",
    ),
    "fail_fast": Field(
        Noneable(AnyConfig),
        default_value=None,
        description="false: steps that do not depend on a failure go on. true: the first failure "
        "stops the run and cancels the steps that are running. drain: after a failure no step "
        f"starts, and running steps may finish. The run tag {FAIL_FAST_TAG} overrides this. "
        "Default: the value in dagster_models.yaml, or else false.",
    ),
    "target": Field(
        Noneable(String),
        default_value=None,
        description="The target of dagster_models.yaml in which this run builds. The run tag "
        f"{TARGET_TAG} overrides this. Default: the project's default target.",
    ),
    "full_refresh": Field(
        Noneable(AnyConfig),
        default_value=None,
        description="true: incremental models are built in full, from all of their query. A list "
        "of names: these are. A snapshot, and a model with `full_refresh: false`, never is. The "
        f"run tag {FULL_REFRESH_TAG} (true, or names with commas between them) overrides this.",
    ),
    "vars": Field(
        Noneable(AnyConfig),
        default_value=None,
        description="Values of the project's variables, which go before all others, e.g. "
        f"{{late_minutes: 30}} (docs/runs.md). The run tag {VARS_TAG}, as YAML, overrides this.",
    ),
    "defer": Field(
        Noneable(String),
        default_value=None,
        description="A target, such as prod, from which the run reads what it does not build and "
        "what its own target does not have (docs/runs.md). The run tag "
        f"{DEFER_TAG} overrides this. Default: the environment variable {DEFER_VARIABLE}.",
    ),
    "only_changed": Field(
        bool,
        default_value=False,
        description="true: a model is left alone if its relation is there and a build would leave "
        "the same: neither its code has changed nor what it reads (docs/runs.md). The run "
        f"tag {ONLY_CHANGED_TAG} overrides this.",
    ),
    "checks": Field(
        Noneable(String),
        default_value=None,
        description="each: the checks of a model run before it is published. after: models are "
        "published, and all checks run after the last one (docs/checks.md). none: they do not run. "
        f"The run tag {CHECKS_TAG} overrides this. Default: the value in dagster_models.yaml.",
    ),
    "cancel_grace_seconds": Field(
        float,
        default_value=10.0,
        description="How many seconds a step may take to stop before its worker is killed.",
    ),
    "retries": RETRIES_CONFIG,
    "tag_concurrency_limits": TAG_LIMITS_CONFIG,
}


_OTHER_ASSETS_ONLY = (
    "The run config of the resource {key} applies only to your own assets. The models are built in"
    " their target: choose it with `execution: config: target`"
)


def _refuse_other_warehouses(job: PlanExecutionContext, plan: ExecutionPlan) -> None:
    """Raises WarehouseError, see ``refuse_another_warehouse``."""
    run, definitions = job.dagster_run, job.job_def.resource_defs
    target = chosen_target(run.tags, run.run_config)
    seen: set[tuple[str, str]] = set()
    for step in plan.get_steps_to_execute_in_topo_order():
        target_step = target_step_of(job.job_def, step)
        if target_step is not None:
            key = target_step.resource_key
            if (target_step.project.root, key) not in seen:
                seen.add((target_step.project.root, key))
                given = given_resource(key, definitions, run.run_config)
                refuse_another_warehouse(target_step.on(target), given, target)


def _projects_with_variables(
    job: PlanExecutionContext, plan: ExecutionPlan
) -> Mapping[str, Project]:
    """The projects of the run by their roots, if it gives them variables. Raises ProjectError."""
    given = given_variables(job.dagster_run.tags, job.dagster_run.run_config)
    if given is None:
        return {}
    steps = plan.get_steps_to_execute_in_topo_order()
    found = (target_step_of(job.job_def, step) for step in steps)
    return loaded_with(given, (it.project for it in found if it is not None))


@executor(name="models_executor", config_schema=_CONFIG)
def models_executor(init: InitExecutorContext) -> ModelsExecutor:
    """Runs SQL in warehouse sessions and Python in worker processes, many at a time.

    It skips what is downstream of a failure, stops at the first failure if ``fail_fast`` says so,
    and reports each step as the warehouse answered. Other Dagster steps of the same job run under
    the same limit, each in a process of its own. It is the default executor of the Definitions
    that ``load_project`` returns::

        execution:
          config:
            max_concurrent: 8
            fail_fast: true

    The settings are read when the run begins, and not in this function: Dagster would take an
    error here for one of its own, and the run's failure, which alerts see, would not contain it.
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
                _refuse_other_warehouses(job_context, plan)
                stock = bool(event_log_files(plan_context))
                run = Run(
                    self,
                    plan_context,
                    job_context,
                    plan,
                    options_of(self._config),
                    warnings=[
                        *(
                            _OTHER_ASSETS_ONLY.format(key=key)
                            for key in configured_resources(job_context, WarehouseResource)
                        ),
                        *advice_for_run(len(plan.step_keys_to_execute), stock),
                    ],
                    projects=_projects_with_variables(job_context, plan),
                )
            except Exception as error:  # e.g. no such target; the console would not show it
                print(f"The run cannot begin: {error}", file=sys.stderr)
                raise
            return run.events()

        with held_open(event_log_files(plan_context)) as event_log:
            for event in execute_with(self, plan_context, loop):
                event_log.touch()
                yield event
