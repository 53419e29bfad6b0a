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

from dagster import (
    DagsterEvent,
    Executor,
    ExecutorDefinition,
    InitExecutorContext,
    executor,
)

from dagster_models._dagster.event_log import has_stock_event_log, open_event_log
from dagster_models._dagster.events import engine_event
from dagster_models._dagster.logs import quiet_console
from dagster_models._dagster.resources import make_resource_classes_once
from dagster_models._dagster.runs import configured_resources, execute_with
from dagster_models._dagster.types import (
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
from dagster_models.definitions.run_settings import run_settings
from dagster_models.definitions.run_variables import loaded_with
from dagster_models.definitions.stock_event_log import advice_for_run
from dagster_models.execution.loop import Run
from dagster_models.execution.options import chosen_target, options_of
from dagster_models.execution.run_variables import given_variables
from dagster_models.execution.step_functions import target_step_of
from dagster_models.util.free_memory import give_back
from dagster_models.util.gc_tuning import frozen_heap

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


def executor_of(project: Project | None) -> ExecutorDefinition:
    """models_executor for the jobs of a project, whose targets and variables the launchpad offers;
    for those of any project without one."""

    @executor(name="models_executor", config_schema=run_settings(project))
    def models_executor(init: InitExecutorContext) -> ModelsExecutor:
        """Runs SQL in warehouse sessions and Python in worker processes, many at a time.

        It skips what is downstream of a failure, stops at the first failure if ``fail_fast`` says
        so, and reports each step as the warehouse answered. Other Dagster steps of the same job run
        under the same limit, each in a process of its own::

            execution:
              config:
                max_concurrent: 8
                fail_fast: true

        The settings are read when the run begins, and not in this function: Dagster would take an
        error here for one of its own, and the run's failure, which alerts see, would not contain
        it.
        """
        config: Any = init.executor_config
        if project is not None:  # the default of the launchpad; the run config has what was chosen
            config = {**config, "target": None}
        retries = RetryMode.from_config(config["retries"]) or RetryMode.ENABLED
        return ModelsExecutor(config, retries)

    return models_executor


#: The executor of a whole code location, also of its runs without a job.
models_executor = executor_of(None)


class ModelsExecutor(Executor):
    """See ``executor_of``."""

    def __init__(self, config: Mapping[str, Any], retries: RetryMode) -> None:
        self._config, self._retries = config, retries

    @property
    def retries(self) -> RetryMode:
        return self._retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        quiet_console(plan_context)
        stock = has_stock_event_log(plan_context)  # for the run, it becomes ours
        yield engine_event(
            plan_context, f"Executing steps with models_executor (pid: {os.getpid()})"
        )

        def loop(job_context: PlanExecutionContext, plan: ExecutionPlan) -> Iterator[DagsterEvent]:
            quiet_console(job_context)
            make_resource_classes_once(job_context)
            try:
                _refuse_other_warehouses(job_context, plan)
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
            give_back()  # Dagster has just made, and thrown away, the texts of the job's snapshots
            return run.events()

        with frozen_heap(), open_event_log(plan_context):
            yield from execute_with(self, plan_context, loop)
