"""What Dagster's execution plan knows of the steps of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import DagsterInvariantViolationError, JobDefinition, OpDefinition
from dagster._core.execution.plan.inputs import FromMultipleSources
from dagster._core.storage.tags import GLOBAL_CONCURRENCY_TAG, PRIORITY_TAG

from dagster_models._dagster.types import (
    ExecutionPlan,
    ExecutionStep,
    KnownExecutionState,
    StepOutputHandle,
)


@dataclass(frozen=True, slots=True)
class StepTraits:
    """What Dagster knows of a step and our plan needs."""

    tags: Mapping[str, str]
    priority: int
    pool: str | None


def traits(step: ExecutionStep) -> StepTraits:
    """The step's tags, priority and concurrency pool."""
    return StepTraits(tags=step.tags, priority=priority(step), pool=pool_of(step))


def priority(step: ExecutionStep) -> int:
    """The step's ``dagster/priority`` tag; 0 if it is not a whole number."""
    try:
        return int(step.tags.get(PRIORITY_TAG, 0))
    except ValueError:
        return 0


def pool_of(step: ExecutionStep) -> str | None:
    """The step's concurrency pool; Dagster still honours the tag that came before pools."""
    return step.pool or step.tags.get(GLOBAL_CONCURRENCY_TAG)


def compute_function(job: JobDefinition, step: ExecutionStep) -> Callable[..., Any] | None:
    """The decorated function behind a step's op."""
    definition = job.get_node(step.node_handle).definition
    compute = definition.compute_fn if isinstance(definition, OpDefinition) else None
    return getattr(compute, "decorated_fn", None)


def executable_steps(execution_plan: ExecutionPlan) -> dict[str, tuple[str, ...]]:
    """Step key -> its upstream step keys among those that this run executes.

    The order is topological, and alphabetical within a level: Dagster's own order differs from
    run to run.

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


def withheld_by(
    execution_plan: ExecutionPlan, step_key: str, outputs: set[StepOutputHandle]
) -> frozenset[str]:
    """Downstream steps whose input *step_key* chose not to produce (optional outputs).

    This decides as Dagster's ActiveExecution does: the outputs of asset checks do not count, and a
    fan-in goes on as long as one of its inputs is there.
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
