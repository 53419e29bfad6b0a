"""The functions that Dagster calls for our steps, and the step that each of them builds.

This is a registry, because Dagster takes plain functions only: its own tools read their source.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from dagster import JobDefinition, OpDefinition

from dagster_models._dagster.steps import compute_function, decorated_function, selection_of
from dagster_models._dagster.types import ExecutionStep
from dagster_models.compilation.tasks import TargetStep

StepFunction = Callable[..., Any]

_target_steps: WeakKeyDictionary[StepFunction, TargetStep] = WeakKeyDictionary()


def register(function: StepFunction, step: TargetStep) -> None:
    """Remember that *function* builds *step*, for as long as the function exists."""
    _target_steps[function] = step


def step_behind(op: OpDefinition) -> TargetStep | None:
    """Our step, of whatever project, that the op builds; None if it is not one of ours."""
    function = decorated_function(op)
    return _target_steps.get(function) if isinstance(function, FunctionType) else None


def target_step_of(job: JobDefinition, step: ExecutionStep) -> TargetStep | None:
    """Our step behind a step of a Dagster job; None if it is not one of ours."""
    function = compute_function(job, step)
    # A foreign one may be an object that no weak reference can point to.
    return _target_steps.get(function) if isinstance(function, FunctionType) else None


def selected_of(it: TargetStep, job: JobDefinition, node: Any) -> TargetStep:
    """What a run of the job selects of our step behind one of its nodes: perhaps only checks."""
    selected = selection_of(job, node)
    return it if selected is None else it.only(*selected)
