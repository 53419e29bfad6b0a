"""A run: its execution around our loop, what it resumes, what its run config sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import DagsterEvent, DagsterRun, Executor
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.storage.tags import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG

from dagster_models._dagster.types import (
    ExecutionPlan,
    PlanExecutionContext,
    PlanOrchestrationContext,
)


def execute_with(
    executor: Executor,
    plan_context: PlanOrchestrationContext,
    loop: Callable[[PlanExecutionContext, ExecutionPlan], Iterator[DagsterEvent]],
) -> Iterator[DagsterEvent]:
    """The run's events, with *loop* run as the in-process executor runs its own.

    Dagster starts the job's resources before *loop* and ends them after it.
    """
    return iter(
        ExecuteRunWithPlanIterable(
            execution_plan=plan_context.execution_plan,
            iterator=lambda job_context, execution_plan: loop(job_context, execution_plan),
            execution_context_manager=PlanExecutionContextManager(
                job=plan_context.job,
                retry_mode=plan_context.retry_mode,
                execution_plan=plan_context.execution_plan,
                run_config=plan_context.run_config,
                dagster_run=plan_context.dagster_run,
                instance=plan_context.instance,
                raise_on_error=plan_context.raise_on_error,
                output_capture=plan_context.output_capture,
                step_dependency_config=executor.step_dependency_config,
            ),
        )
    )


def is_taken_over(context: PlanOrchestrationContext) -> bool:
    """Whether another process began the run, and was taken for dead (``max_resume_run_attempts`` of
    Dagster's run monitoring)."""
    return context.resume_from_failure


def resumed_runs(context: PlanExecutionContext) -> list[str]:
    """The ids of the runs that this one resumes (a re-execution from failure), the last one first.

    The list ends at a run that was re-executed as a whole: that one was to build everything anew.
    """
    run: DagsterRun | None = context.dagster_run
    found: list[str] = []
    while run is not None and _is_resumed(run) and run.parent_run_id not in (None, *found):
        found.append(str(run.parent_run_id))
        run = context.instance.get_run_by_id(found[-1])
    return found


def _is_resumed(run: DagsterRun) -> bool:
    return "true" in (run.tags.get(RESUME_RETRY_TAG), run.tags.get(ASSET_RESUME_RETRY_TAG))


def stop_requested_by_user(context: PlanExecutionContext) -> bool:
    """Whether somebody pressed Terminate for this run."""
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and run.status.value in ("CANCELING", "CANCELED")


def add_tags(context: PlanExecutionContext, tags: Mapping[str, str]) -> None:
    """Give the run these tags, besides those that it has."""
    context.instance.add_run_tags(context.run_id, tags)


#: The runs that somebody watches in a terminal, so that Ctrl-C there means Terminate.
_attended: set[str] = set()


@contextmanager
def attended(run_id: str) -> Iterator[None]:
    """The process of this run is a command that somebody has called."""
    _attended.add(run_id)
    try:
        yield
    finally:
        _attended.discard(run_id)


def cancel_if_attended(context: PlanExecutionContext) -> None:
    """What Terminate does before it interrupts a run: Dagster then ends it as canceled, and not as
    one whose process was killed."""
    run = context.dagster_run
    if run.run_id in _attended and not stop_requested_by_user(context):
        context.instance.report_run_canceling(run, "The command that runs it was interrupted.")


def configured_resources(context: PlanExecutionContext, kind: type) -> list[str]:
    """The keys of the job's resources of the class *kind* that the run config gives values to."""
    configs: Any = context.run_config.get("resources") or {}
    definitions = context.job_def.resource_defs
    return [
        key
        for key, config in configs.items()
        if config
        and config.get("config")
        and getattr(definitions.get(key), "configurable_resource_cls", None) is kind
    ]
