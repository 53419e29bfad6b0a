"""What Dagster's execution plan knows of the steps of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import AssetKey, DagsterInvariantViolationError, JobDefinition, OpDefinition
from dagster._core.execution.plan.inputs import FromMultipleSources
from dagster._core.storage.tags import GLOBAL_CONCURRENCY_TAG, PRIORITY_TAG

from dagster_models._dagster.types import (
    ExecutionPlan,
    ExecutionStep,
    KnownExecutionState,
    StepOutputHandle,
)
from dagster_models.scheduling.requirements import OutputName


@dataclass(frozen=True, slots=True)
class StepTraits:
    """What Dagster knows of a step and our plan needs; ``gates``: see ``StepRequirements``."""

    tags: Mapping[str, str]
    priority: int
    pool: str | None
    gates: tuple[frozenset[OutputName], ...] = ()


def traits(execution_plan: ExecutionPlan, own: Collection[str] = ()) -> dict[str, StepTraits]:
    """Step key -> the traits of the step, for all steps that this run executes. ``own``: those
    that produce all that is selected of them, if they succeed."""
    gates_of = gates(execution_plan, own)
    return {
        step.key: StepTraits(
            tags=step.tags,
            priority=priority(step),
            pool=pool_of(step),
            gates=gates_of.get(step.key, ()),
        )
        for step in execution_plan.get_steps_to_execute_in_topo_order()
    }


def asset_of_outputs(step: ExecutionStep) -> AssetKey | None:
    """The asset that the step builds, or whose checks it runs; None for a step of no asset."""
    for output in step.step_outputs:
        check = output.properties.asset_check_key
        if check is not None or output.properties.asset_key is not None:
            return check.asset_key if check is not None else output.properties.asset_key
    return None


def priority(step: ExecutionStep) -> int:
    """The step's ``dagster/priority`` tag; 0 if it is not a whole number."""
    try:
        return int(step.tags.get(PRIORITY_TAG, 0))
    except ValueError:
        return 0


def pool_of(step: ExecutionStep) -> str | None:
    """The step's concurrency pool; Dagster still honours the tag that came before pools."""
    return step.pool or step.tags.get(GLOBAL_CONCURRENCY_TAG)


def selection_of(job: JobDefinition, node: Any) -> tuple[bool, frozenset[str]] | None:
    """What the job selects of the asset behind a node, which its handle names: whether it is built,
    and the names of its checks that run; None if all of it is selected."""
    assets = job.asset_layer.get_assets_def_for_node(node)
    if assets is None or not assets.is_subset:
        return None
    return bool(assets.keys), frozenset(key.name for key in assets.check_keys)


def compute_function(job: JobDefinition, step: ExecutionStep) -> Callable[..., Any] | None:
    """The decorated function behind a step's op."""
    definition = job.get_node(step.node_handle).definition
    return decorated_function(definition) if isinstance(definition, OpDefinition) else None


def decorated_function(op: OpDefinition) -> Callable[..., Any] | None:
    """The function that a decorator made the op of."""
    return getattr(op.compute_fn, "decorated_fn", None)


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


def gates(
    execution_plan: ExecutionPlan, own: Collection[str] = ()
) -> dict[str, tuple[frozenset[OutputName], ...]]:
    """Step key -> its gates (see ``StepRequirements``); steps that have none are missing here.

    Only outputs that may be missing count: optional ones, and those of steps that have gates
    themselves. The outputs of asset checks never gate anything, and those of our *own* steps are
    optional only so that a run may select some of them.
    """
    steps = execution_plan.get_steps_to_execute_in_topo_order()
    optional = {
        OutputName(step.key, output.name)
        for step in steps
        for output in (() if step.key in own else step.step_outputs)
        if not output.is_required
    }
    found: dict[str, tuple[frozenset[OutputName], ...]] = {}
    for step in steps if optional else ():
        of_step = {
            gate
            for step_input in step.step_inputs
            for gate in _gates_of_input(execution_plan, step_input)
            if all(output in optional or output.step in found for output in gate)
        }
        if of_step:
            found[step.key] = tuple(of_step)
    return found


def _gates_of_input(execution_plan: ExecutionPlan, step_input: Any) -> list[frozenset[OutputName]]:
    outputs = frozenset(
        OutputName(handle.step_key, handle.output_name)
        for handle in step_input.get_step_output_handle_dependencies()
        if execution_plan.get_step_output(handle).properties.asset_check_key is None
    )
    if isinstance(step_input.source, FromMultipleSources):
        return [outputs] if outputs else []
    return [frozenset((output,)) for output in outputs]


def withheld_outputs(step: ExecutionStep, produced: set[StepOutputHandle]) -> frozenset[OutputName]:
    """The outputs that *step*, which has succeeded, chose not to produce."""
    return frozenset(
        OutputName(step.key, output.name)
        for output in step.step_outputs
        if StepOutputHandle(step.key, output.name) not in produced
    )
