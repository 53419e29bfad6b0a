"""``dagster-models checks [SELECT ...]``: checks alone, on what is there. Nothing is written but
what ``--store-failures`` asks for."""

from __future__ import annotations

import argparse
import sys
import uuid
from dataclasses import replace

from dagster_models.cli.project import (
    add_target,
    add_vars,
    project_of,
    refuse_broken,
    refuse_missing,
)
from dagster_models.cli.selection import add_selection, wanted
from dagster_models.compilation.tasks import (
    TargetStep,
    builder_of,
    checks_task,
    warehouse_address,
)
from dagster_models.core.checks import Check, checks_of
from dagster_models.core.messages import Outcome
from dagster_models.core.model import Project, Step
from dagster_models.core.tasks import ChecksTask
from dagster_models.errors import SelectionError, WarehouseError, WarehouseLost
from dagster_models.execution.outcomes import shown
from dagster_models.execution.single import run_checks
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.targets import usable_target
from dagster_models.reporting.results import StepResult
from dagster_models.reporting.step_results import step_result
from dagster_models.reporting.terminal import Terminal
from dagster_models.util.steady_clock import steady_time

HELP = "run checks alone, of models and sources as they are; exit code 1 if one fails"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_target(parser)
    add_vars(parser)
    text = (
        "keep the rows that fail in their tables, as a build does: those of checks that say"
        " `store_failures: true`"
    )
    parser.add_argument("--store-failures", action="store_true", help=text)


def run(options: argparse.Namespace) -> int:
    project = project_of(options)
    selected = select(project, options)
    for step in selected:  # also one that is named by its check alone
        refuse_broken(step)
    target = usable_target(project, options.target)
    refuse_missing(target)
    began = steady_time()
    terminal = Terminal(sys.stdout)
    terminal.found(checks=sum(len(step.checks) for step in selected))
    # The commit record of a table with failing rows has the name of its run: one for each call.
    run_id = f"checks-{uuid.uuid4()}" if options.store_failures else None
    results: list[StepResult] = []
    try:
        with connect(warehouse_address(project, target)) as session:
            for number, step in enumerate(selected, start=1):
                it = TargetStep(project, step, target, builds=False)
                outcome = outcome_of(session, it, run_id)
                results.append(result_of(it, outcome))
                for note in outcome.notes:
                    terminal.note(f"{it.name}: {note}")
                terminal.finished(number, len(selected), results[-1])
    finally:
        leave_all()
    terminal.done(results, steady_time() - began)
    return 0 if all(result.state == "succeeded" for result in results) else 1


def outcome_of(session: Session, it: TargetStep, run_id: str | None = None) -> Outcome:
    """Run the checks of one step. With a *run_id* they store the rows that fail, as those of that
    run."""
    task = checks_task(it, run_id or "shell", 1)
    notes: tuple[str, ...] = ()
    if run_id:
        task = replace(task, builder=builder_of(it.project, it.target))
        task, notes = _that_stores(session, task)
    outcome = run_checks(session, task, it.address)
    return shown(replace(outcome, notes=(*notes, *outcome.notes)), it.project.secrets)


def result_of(it: TargetStep, outcome: Outcome) -> StepResult:
    """The result of the checks of one step."""
    return step_result(it.name, it, "succeeded" if outcome.succeeded else "failed", outcome)


def _that_stores(session: Session, task: ChecksTask) -> tuple[ChecksTask, tuple[str, ...]]:
    """The task once there is a place for the rows that it stores. If none can be made, its checks
    store nothing, and the notes say why: what they find counts all the same."""
    schemas = {check.store.schema for check in task.checks if check.store is not None}
    if not schemas:
        return task, ()
    try:
        session.prepare(sorted(schemas))
    except WarehouseLost:
        raise
    except WarehouseError as error:
        notes = tuple(it.not_stored(str(error)) for it in task.checks if it.store is not None)
        return replace(task, checks=tuple(replace(it, store=None) for it in task.checks)), notes
    return task, ()


def select(project: Project, options: argparse.Namespace) -> list[Step]:
    """The steps, and those of sources, each with those of its checks that the options name: by the
    names of checks, or by a selection of models and sources. Without any all that have checks, and
    all whose files are wrong: which checks those would have is unknown.

    Raises:
        SelectionError: nothing that is selected has a check, or a name is unknown.
        ProjectError: what is selected is in a file that is wrong.
    """
    sources = (replace(checks_of(it), problems=it.problems) for it in project.sources.values())
    every = [it for it in (*sources, *project.steps.values()) if it.checks or it.problems]
    things = {
        step.key: [it for check in step.checks for it in _names(step, check)] for step in every
    }
    asked = wanted(project, options, things, "check")
    for step in every:
        if asked.has(step.key, ()):
            refuse_broken(step)
    chosen = [
        replace(
            step,
            checks=tuple(it for it in step.checks if asked.has(step.key, _names(step, it))),
        )
        for step in every
    ]
    if not any(step.checks for step in chosen):
        raise SelectionError("nothing that is selected has a check")
    return [step for step in chosen if step.checks]


def _names(step: Step, check: Check) -> set[str]:
    """The names that mean this check, alone or with others."""
    key, own = step.key, check.name
    return {it.lower() for it in (str(key), key.name, own, f"{key}.{own}", f"{key.name}.{own}")}
