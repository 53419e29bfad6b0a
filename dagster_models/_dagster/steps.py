"""The steps of an execution plan, and the generators that play them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dagster import DagsterEvent, DagsterInvariantViolationError, JobDefinition
from dagster._core.execution.api import ExecuteRunWithPlanIterable
from dagster._core.execution.context.system import (
    PlanExecutionContext,
    PlanOrchestrationContext,
    StepExecutionContext,
)
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan import execute_step
from dagster._core.execution.plan.execute_plan import _trigger_hook, dagster_event_sequence_for_step
from dagster._core.execution.plan.inputs import FromMultipleSources
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.executor.base import Executor
from dagster._core.storage.tags import GLOBAL_CONCURRENCY_TAG, PRIORITY_TAG

from dagster_models.options import StepTraits


def execute_with(
    executor: Executor,
    plan_context: PlanOrchestrationContext,
    loop: Callable[[PlanExecutionContext, ExecutionPlan], Iterator[DagsterEvent]],
) -> Iterator[DagsterEvent]:
    """Run *loop* as the in-process executor runs its own: resources up, *loop*, resources down."""
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


def executable_steps(execution_plan: ExecutionPlan) -> dict[str, tuple[str, ...]]:
    """Step key -> its upstream step keys among those that this run executes.

    In topological order, alphabetical within a level: Dagster's own order differs from run to run.

    Raises:
        DagsterInvariantViolationError: the plan has dynamic steps, which are only known midway.
    """
    unresolved = [str(h) for h in execution_plan.step_handles_to_execute if "[?]" in h.to_key()]
    if unresolved:
        raise DagsterInvariantViolationError(
            f"models_executor does not run dynamic outputs (steps {', '.join(unresolved)}). Give "
            "this job Dagster's own executor: `executor_def=multiprocess_executor`."
        )
    deps = execution_plan.get_executable_step_deps()
    known = {step.key for step in execution_plan.get_steps_to_execute_in_topo_order()}
    levels = execution_plan.get_all_steps_by_level()
    order = [key for level in levels for key in sorted(s.key for s in level) if key in known]
    return {key: tuple(sorted(deps.get(key, set()) & known)) for key in order}


def known_state(
    execution_plan: ExecutionPlan,
    attempts: Mapping[str, int],
    outputs: set[StepOutputHandle] | None = None,
) -> KnownExecutionState:
    """What a step must know of the run so far: earlier attempts, and outputs that are ready."""
    before = execution_plan.known_state
    return KnownExecutionState(
        previous_retry_attempts=attempts,
        dynamic_mappings=before.dynamic_mappings,
        step_output_versions=before.step_output_versions,
        ready_outputs=(before.ready_outputs | outputs) if outputs else before.ready_outputs,
        parent_state=before.parent_state,
    )


def park(context: StepExecutionContext) -> tuple[DagsterEvent, Iterator[DagsterEvent]]:
    """Start a step's generator and park it at STEP_START, before any context manager is open.

    The rest must be exhausted, never dropped: a GeneratorExit becomes a false STEP_FAILURE.
    """
    events = dagster_event_sequence_for_step(context)
    return next(events), events


_one_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dagster_models-events")


def exhaust(
    context: StepExecutionContext, events: Iterator[DagsterEvent], seconds: float
) -> list[DagsterEvent]:
    """All remaining events of a parked generator; the step's timer shows *seconds*.

    In a thread of its own, because ``raise_execution_interrupts`` makes a signal raise inside the
    compute function of the main thread: a step that has committed would be written as a failure.
    """
    return _one_thread.submit(_exhaust, context, events, seconds).result()


def _exhaust(
    context: StepExecutionContext, events: Iterator[DagsterEvent], seconds: float
) -> list[DagsterEvent]:
    # Dagster's step timer starts after STEP_START, where the generator was parked: set it back.
    original = execute_step.time_execution_scope  # type: ignore[attr-defined]

    @contextlib.contextmanager
    def since_the_start() -> Iterator[Any]:
        with original() as timer:
            timer.start_time -= seconds
            yield timer

    execute_step.time_execution_scope = since_the_start  # type: ignore[attr-defined]
    try:
        with one_commit(context):
            return list(events)
    finally:
        execute_step.time_execution_scope = original  # type: ignore[attr-defined]


def one_commit(context: PlanExecutionContext) -> contextlib.AbstractContextManager[None]:
    """Events of the run that this thread stores in the block are committed together, if possible.

    Our own storage can (storage.py): one wait for the disk instead of one for each event.
    """
    begin = getattr(context.instance.event_log_storage, "one_commit", None)
    return begin(context.run_id) if begin is not None else contextlib.nullcontext()


def trigger_hooks(context: StepExecutionContext, events: Sequence[DagsterEvent]) -> Iterator[Any]:
    """Run the op's success and failure hooks on the events of its step."""
    return _trigger_hook(context, events)


def withheld_by(
    execution_plan: ExecutionPlan, step_key: str, outputs: set[StepOutputHandle]
) -> frozenset[str]:
    """Downstream steps whose input *step_key* chose not to produce (optional outputs).

    As ActiveExecution decides: the outputs of asset checks do not count, and a fan-in goes on as
    long as one of its inputs is there.
    """

    def is_withheld(handles: set[StepOutputHandle], fan_in: bool) -> bool:
        gating = {
            handle
            for handle in handles
            if execution_plan.get_step_output(handle).properties.asset_check_key is None
        }
        missing = {h for h in gating if h.step_key == step_key and h not in outputs}
        return bool(missing) and (not fan_in or missing == gating)

    return frozenset(
        step.key
        for step in execution_plan.get_steps_to_execute_in_topo_order()
        for step_input in step.step_inputs
        if is_withheld(
            set(step_input.get_step_output_handle_dependencies()),
            isinstance(step_input.source, FromMultipleSources),
        )
    )


def traits(step: ExecutionStep) -> StepTraits:
    """What the plan needs to know of a step of Dagster's."""
    return StepTraits(tags=step.tags, priority=priority(step), pool=pool_of(step))


def compute_function(job: JobDefinition, step: ExecutionStep) -> Callable[..., Any] | None:
    """The decorated function behind a step's op."""
    compute = job.get_node(step.node_handle).definition.compute_fn  # type: ignore[attr-defined]
    return getattr(compute, "decorated_fn", None)


def priority(step: ExecutionStep) -> int:
    """The step's ``dagster/priority`` tag; what is no number counts as 0."""
    try:
        return int(step.tags.get(PRIORITY_TAG, 0))
    except ValueError:
        return 0


def pool_of(step: ExecutionStep) -> str | None:
    """The step's concurrency pool; Dagster still honours the tag that came before pools."""
    return step.pool or step.tags.get(GLOBAL_CONCURRENCY_TAG)
