"""Which steps are not to run, compared with Dagster's own ActiveExecution on random jobs."""

from __future__ import annotations

from random import Random
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.execution.plan.outputs import StepOutputHandle
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode

from dagster_models._dagster.steps import executable_steps, gates, withheld_outputs
from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.requirements import StepRequirements
from dagster_models.scheduling.states import Cause, Event, Report, Start, State

OUTPUTS = ("p", "q")


def random_job(random: Random) -> dg.JobDefinition:
    """Ops with optional outputs, read by ordinary inputs and by fan-ins."""
    ops: list[dg.OpDefinition] = []
    dependencies: dict[str, dict[str, Any]] = {}
    for number in range(random.randint(3, 9)):
        name, ins, reads = f"s{number}", {}, {}
        for i in range(random.randint(0, min(2, number))):
            drawn = {
                (f"s{random.randrange(number)}", random.choice(OUTPUTS))
                for _ in range(random.randint(1, 3))
            }
            sources = [dg.DependencyDefinition(*source) for source in sorted(drawn)]
            fan_in = len(sources) > 1
            ins[f"in{i}"] = dg.In(dg.List[dg.Any] if fan_in else dg.Any)
            reads[f"in{i}"] = dg.MultiDependencyDefinition(sources) if fan_in else sources[0]
        outs = {out: dg.Out(is_required=random.random() < 0.4) for out in OUTPUTS}
        ops.append(dg.OpDefinition(lambda: None, name, ins=ins, outs=outs))
        dependencies[name] = reads
    return dg.GraphDefinition("g", node_defs=ops, dependencies=dependencies).to_job()


def choices(plan: ExecutionPlan, random: Random) -> dict[str, set[str] | None]:
    """Step -> the outputs that it produces; None: it fails."""
    return {
        step.key: None
        if random.random() < 0.25
        else {out.name for out in step.step_outputs if out.is_required or random.random() < 0.5}
        for step in plan.get_steps_to_execute_in_topo_order()
    }


def by_dagster(
    plan: ExecutionPlan, chosen: dict[str, set[str] | None], random: Random
) -> dict[str, str]:
    found = {}
    with ActiveExecution(plan, RetryMode.DISABLED) as active:
        running: list[str] = []
        while not active.is_complete:
            running += [step.key for step in active.get_steps_to_execute()]
            if running:
                key = running.pop(random.randrange(len(running)))
                produced = chosen[key]
                for name in produced or ():
                    active.mark_step_produced_output(StepOutputHandle(key, name))
                (active.mark_failed if produced is None else active.mark_success)(key)
                found[key] = "failed" if produced is None else "succeeded"
            for step in active.get_steps_to_skip():
                active.mark_skipped(step.key)
                found[step.key] = "not to run"
            for step in active.get_steps_to_abandon():
                active.mark_abandoned(step.key)
                found[step.key] = "abandoned"
    return found


def by_our_plan(
    execution_plan: ExecutionPlan, chosen: dict[str, set[str] | None], random: Random
) -> dict[str, str]:
    gates_of = gates(execution_plan)
    graph = executable_steps(execution_plan)
    requirements = {step: StepRequirements(gates=gates_of.get(step, ())) for step in graph}
    plan = Plan(graph, requirements, max_concurrent=3)
    found, running, todo = {}, [], plan.begin()
    while True:
        for instruction in todo:
            if isinstance(instruction, Start):
                running.append(instruction.step)
            elif isinstance(instruction, Report):
                skipped = "not to run" if instruction.deliberate else "abandoned"
                given_up = instruction.state is State.SKIPPED
                found[instruction.step] = skipped if given_up else instruction.state.value
        plan.validate()
        if not running:
            assert plan.is_complete
            return found
        key = running.pop(random.randrange(len(running)))
        produced = chosen[key]
        handles = {StepOutputHandle(key, name) for name in produced or ()}
        withheld = withheld_outputs(execution_plan.get_executable_step_by_key(key), handles)
        todo = plan.handle(
            Event(key, Cause.ROLLED_BACK)
            if produced is None
            else Event(key, Cause.COMMITTED, withheld)
        )


@pytest.mark.parametrize("seed", range(60))
def test_the_steps_that_are_not_to_run_are_dagsters(seed: int) -> None:
    random = Random(seed)
    plan = create_execution_plan(random_job(random))
    chosen = choices(plan, random)
    assert by_our_plan(plan, chosen, random) == by_dagster(plan, chosen, random)


def test_a_job_without_optional_outputs_has_no_gates() -> None:
    @dg.op
    def first() -> int:
        return 1

    @dg.op
    def second(one: int) -> None: ...

    @dg.job
    def plain() -> None:
        second(first())

    assert gates(create_execution_plan(plain)) == {}


def test_steps_of_ours_keep_nothing_back_that_is_optional() -> None:
    """Their outputs are optional only so that a run may select some of them."""
    plans = (create_execution_plan(random_job(Random(seed))) for seed in range(50))
    plan = next(it for it in plans if gates(it))
    assert gates(plan, own=executable_steps(plan)) == {}
