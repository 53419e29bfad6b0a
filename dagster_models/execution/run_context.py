"""What the loop shares with the two kinds of steps that it runs."""

from __future__ import annotations

import datetime as dt
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from dagster import AssetKey, Executor

from dagster_models._dagster.steps import asset_of_outputs, executable_steps, traits
from dagster_models._dagster.types import ExecutionPlan, ExecutionStep, PlanExecutionContext
from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome
from dagster_models.core.model import EMPTY, Project
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.execution.check_history import with_history
from dagster_models.execution.code_changes import in_full_after_a_change, refresh_notes
from dagster_models.execution.deferral import Deferral, deferral, target_to_defer_to
from dagster_models.execution.history import step_seconds_or_none
from dagster_models.execution.known_inputs import KnownInputs
from dagster_models.execution.options import Options, on_run, requirements_of
from dagster_models.execution.partitions import in_partitions
from dagster_models.execution.pool_slots import PoolSlots
from dagster_models.execution.run_variables import given_variables, in_projects
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.execution.step_functions import selected_of, target_step_of
from dagster_models.execution.timers import Timers
from dagster_models.execution.unchanged import Decision
from dagster_models.execution.wait_notifier import WaitNotifier
from dagster_models.reporting.reporter import Reporter, RunLimits, RunSettings
from dagster_models.reporting.results import StepResult
from dagster_models.reporting.waits import WaitTimes
from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.states import Event, Report, State


@dataclass(frozen=True, slots=True)
class RunContext:
    """The parts of one run.

    ``graph``: step key -> its upstreams in this run; ``steps``: all of its steps;
    ``target_steps``: our own, on the run's target. ``todo``: events for the plan, which the loop
    hands over before it waits again. ``known``: what it knows of the relations that they read.
    ``late``: the same with those checks that run after all of them, which are not in
    ``target_steps``. ``decision``: what ``only_changed`` leaves alone. ``deferral``:
    what it reads from another target.
    """

    run_id: str
    job: PlanExecutionContext
    execution_plan: ExecutionPlan
    options: Options
    slots: int
    graph: Mapping[str, tuple[str, ...]]
    steps: Mapping[str, ExecutionStep]
    target_steps: Mapping[str, TargetStep]
    late: Mapping[str, TargetStep]
    plan: Plan
    todo: deque[Event]
    runners: TaskRunners
    timers: Timers
    pools: PoolSlots
    waits: WaitTimes
    notifier: WaitNotifier
    reporter: Reporter
    known: KnownInputs
    decision: Decision
    deferral: Deferral

    def report_end(
        self, report: Report, outcome: Outcome | None, committed_in: str = ""
    ) -> StepResult:
        """Report the end of a step in the terminal and the journal; returns its result."""
        step, plan = report.step, self.plan
        waited = self.waits.end(step)
        previous = plan.built_on_previous(step) if report.state is not State.SKIPPED else ()
        attempts, because = plan.attempt(step), self.decision.because.get(step)
        result = self.reporter.finished(
            report,
            attempts,
            outcome,
            waited,
            previous,
            committed_in,
            because.text if because is not None else None,
        )
        own = self.target_steps.get(step)
        if report.state is State.SUCCEEDED and own is not None and own.builds and not committed_in:
            self.known.committed(own, self.run_id, attempts)
        return result

    def first_sessions(self) -> Counter[WarehouseAddress]:
        """How many sessions the steps need that start first, by warehouse."""
        first = (self.target_steps[step] for step in self.plan.first() if step in self.target_steps)
        return Counter(it.address for it in first if not it.is_python)

    def asset_of(self, step: str | None) -> AssetKey | None:
        """The asset that a step of the run builds; None for none."""
        return asset_of_outputs(self.steps[step]) if step is not None else None

    def target_of(self, step: str) -> str:
        """The name of the target on which a step of ours runs, "" for any other."""
        own = self.target_steps.get(step)
        return own.target.name if own is not None else ""


def run_context(
    executor: Executor,
    job: PlanExecutionContext,
    execution_plan: ExecutionPlan,
    options: Options,
    projects: Mapping[str, Project] = EMPTY,
) -> RunContext:
    """The parts of the run that *executor* is to carry out. *projects*: those that the run gives
    variables to, by their roots.

    Raises:
        ProjectError: the run asks for a target that the project does not have.
        ValueError: a tag or setting of the run is not one of the allowed values.
    """
    graph = executable_steps(execution_plan)
    steps = {key: execution_plan.get_executable_step_by_key(key) for key in graph}
    asked = _target_steps(job, steps, options, projects)
    target_steps = in_full_after_a_change(asked)
    deferred = deferral(target_steps, target_to_defer_to(job.dagster_run.tags, options.defer))
    slots = options.slots(target_steps)
    seconds, no_history = step_seconds_or_none(job.instance, job.job_name)
    requirements, limits = requirements_of(
        graph,
        traits(execution_plan, target_steps),
        target_steps,
        options.tag_concurrency_limits,
        retrying=not executor.retries.disabled,
        seconds=seconds,
    )
    fail_fast = options.fail_fast_of(target_steps, job.dagster_run.tags)
    plan = Plan(graph, requirements, max_concurrent=slots, fail_fast=fail_fast, limits=limits)
    reporter = _reporter(job, target_steps, RunLimits(slots, limits, graph), deferred)
    if no_history:
        reporter.note(f"Past durations could not be read: {no_history}")
    for note in refresh_notes(asked, target_steps):
        reporter.note(note)
    timers, waits = Timers(), WaitTimes()
    todo: deque[Event] = deque()
    return RunContext(
        run_id=job.run_id,
        job=job,
        execution_plan=execution_plan,
        options=options,
        slots=slots,
        graph=graph,
        steps=steps,
        target_steps={key: _built(it) for key, it in deferred.target_steps.items()},
        late={key: _checked(it) for key, it in deferred.target_steps.items() if _is_late(it)},
        deferral=deferred,
        plan=plan,
        todo=todo,
        runners=TaskRunners(),
        timers=timers,
        pools=PoolSlots(job, steps, plan, timers, todo),
        waits=waits,
        notifier=WaitNotifier(waits, job, steps, limits, reporter, timers),
        reporter=reporter,
        known=KnownInputs(),
        decision=Decision(),
    )


def _is_late(it: TargetStep) -> bool:
    return it.checks == "after" and it.builds and bool(it.step.checks)


def _built(it: TargetStep) -> TargetStep:
    return replace(it, step=replace(it.step, checks=())) if _is_late(it) else it


def _checked(it: TargetStep) -> TargetStep:
    return replace(it, builds=False)


def _reporter(
    job: PlanExecutionContext,
    target_steps: Mapping[str, TargetStep],
    limits: RunLimits,
    deferred: Deferral,
) -> Reporter:
    given = given_variables(job.dagster_run.tags, job.dagster_run.run_config)
    settings = RunSettings(deferred.relations, given.text if given else "")
    names = _names(limits.upstream, target_steps)
    return Reporter(job.run_id, names, target_steps, limits, settings)


def _names(steps: Iterable[str], target_steps: Mapping[str, TargetStep]) -> dict[str, str]:
    """Step key -> the name to show. Where several projects use one, it is the key instead."""
    count = Counter(target_step.name for target_step in target_steps.values())
    return {
        key: target_steps[key].name
        if key in target_steps and count[target_steps[key].name] == 1
        else key
        for key in steps
    }


def _target_steps(
    job: PlanExecutionContext,
    steps: Mapping[str, ExecutionStep],
    options: Options,
    projects: Mapping[str, Project],
) -> dict[str, TargetStep]:
    """The steps that are ours, by step key, on the target that the run asks for, and what it
    selects of them."""
    target = options.target_of(job.dagster_run.tags, job.dagster_run.run_config)
    found: dict[str, TargetStep] = {}
    for key, step in steps.items():
        target_step = target_step_of(job.job_def, step)
        if target_step is not None:
            found[key] = target_step.on(target)
    run, now = job.dagster_run, dt.datetime.now(dt.timezone.utc)
    began = {
        key: selected_of(replace(it, run_started_at=now), job.job_def, steps[key].node_handle)
        for key, it in in_projects(found, projects).items()
    }
    asked = in_partitions(on_run(began, run.tags, run.run_config), run.tags, run.job_name)
    return {
        key: with_history(it, asset_of_outputs(steps[key]), job.instance, job.log.warning)
        for key, it in asked.items()
    }
