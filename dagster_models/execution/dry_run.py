"""What a run would build and why, which columns that changes, and how long it takes by history.

Nothing is built: the warehouse is read as a run with ``only_changed`` reads it before its first
step, but for the checks, which do not run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.compilation.column_changes import column_changes, readers_of
from dagster_models.compilation.tasks import (
    TargetStep,
    checks_task,
    refuse_broken,
    warehouse_address,
)
from dagster_models.core.model import EMPTY, Key, Project, Step, Target
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import BrokenFile
from dagster_models.execution.known_inputs import KnownInputs
from dagster_models.execution.options import Options
from dagster_models.execution.unchanged import Because, Decision, decide
from dagster_models.processes.client.session import Session, connect
from dagster_models.project.compare import ColumnChange
from dagster_models.reporting.past_runs import step_seconds
from dagster_models.scheduling.forecast import Forecast, forecast

#: Why a step is built that nothing but the run's selection asks for.
ASKED = Because("asked", "a build would leave it as it is (a run with --only-changed leaves it)")


@dataclass(frozen=True, slots=True)
class WouldBuild:
    """A step that a run would build. ``columns``: what becomes of the columns of its relation;
    ``readers``: who reads them. ``seconds``: how long it took before; None if that is unknown."""

    step: Step
    because: Because
    columns: tuple[ColumnChange, ...] = ()
    readers: Mapping[str, tuple[Key, ...]] = EMPTY
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CannotBuild:
    """A step that a run cannot build. ``is_broken``: it fails by itself; else it is skipped."""

    step: Step
    is_broken: bool
    because: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """``cannot``: what fails as its file is wrong, and what is skipped therefore. ``left_alone``:
    what ``only_changed`` leaves as it is. ``partitioned``: what is built by the partition, which a
    run leaves out that names none. ``forecast`` is None without history."""

    builds: tuple[WouldBuild, ...]
    cannot: tuple[CannotBuild, ...]
    left_alone: tuple[Step, ...]
    partitioned: tuple[Step, ...]
    slots: int
    forecast: Forecast | None


def dry_run(
    project: Project,
    target: Target,
    selected: Collection[Key],
    there: bool,
    only_changed: bool = False,
    threads: int | None = None,
) -> DryRun:
    """The dry run of these steps of a project.

    ``there``: there is a database. ``threads``: how many steps run at once, None for the project's
    number.

    Raises:
        WarehouseError: the warehouse cannot be reached.
    """
    chosen = [step for key, step in project.steps.items() if key in selected]
    partitioned = tuple(step for step in chosen if step.config.partitions is not None)
    steps = [step for step in chosen if step.config.partitions is None]
    its = {str(step.key): TargetStep(project, replace(step, checks=()), target) for step in steps}
    cannot = _cannot_build(its)
    steps = [step for step in steps if str(step.key) not in cannot]
    its = {name: it for name, it in its.items() if name not in cannot}
    graph = {name: _within(it.step, its) for name, it in its.items()}
    seconds = step_seconds(project.target_path, target.name)
    if there:
        decision, columns = _look(graph, its, warehouse_address(project, target))
    else:
        nothing = Because("new", "there is no database yet")
        decision, columns = Decision(because=dict.fromkeys(its, nothing)), {}
    builds = tuple(
        WouldBuild(
            step,
            decision.because.get(str(step.key), ASKED),
            columns.get(step.key, ()),
            readers_of(project, step.key, columns),
            seconds.get(str(step.key)),
        )
        for step in steps
        if not (only_changed and str(step.key) in decision.unchanged)
    )
    names = {str(it.step.key) for it in builds}
    slots = Options(max_concurrent=threads).slots(its)
    left = {name: [it for it in of if it in names] for name, of in graph.items() if name in names}
    alone = tuple(step for step in steps if str(step.key) not in names)
    return DryRun(
        builds,
        tuple(cannot.values()),
        alone,
        partitioned,
        slots,
        forecast(left, seconds, slots),
    )


def _cannot_build(its: Mapping[str, TargetStep]) -> dict[str, CannotBuild]:
    """What fails as its file is wrong, and what a run skips therefore. The steps are in the order
    in which they run."""
    found: dict[str, CannotBuild] = {}
    for name, it in its.items():
        try:
            refuse_broken(it)
        except BrokenFile as error:
            found[name] = CannotBuild(it.step, True, str(error).splitlines()[0])
            continue
        for of in _within(it.step, its):
            above = found.get(of)
            if above and not (above.is_broken and above.step.config.on_error == "continue"):
                found[name] = CannotBuild(it.step, False, f"it reads {of}, which cannot be built")
                break
    return found


def _within(step: Step, its: Mapping[str, TargetStep]) -> list[str]:
    return [str(key) for key in step.upstream if str(key) in its]


def _look(
    graph: Mapping[str, Sequence[str]],
    its: Mapping[str, TargetStep],
    address: WarehouseAddress,
) -> tuple[Decision, dict[Key, tuple[ColumnChange, ...]]]:
    """The decision of a run with ``only_changed``, and what changes of the columns of each step.
    What a step's own code says goes before what it reads."""
    known = KnownInputs()
    known.ask(its)
    decision = decide(graph, its, known, (), "plan")
    with connect(address) as session:
        relations = {it.name: it.relation for it in its.values() if it.relation is not None}
        there = set(session.there(relations.values()))
        versions = {
            proof.relation: proof.code_version for proof in session.last_proofs(relations.values())
        }
        columns = {}
        for name, relation in relations.items():
            it = its[name]
            if relation not in there and it.step.built_as != "function":
                decision.because[name] = Because("new", "it is not there")
            elif str(relation) not in versions:
                decision.because[name] = Because("new", "this project has not built what is there")
            elif versions[str(relation)] != it.step.code_version:
                decision.because[name] = Because("code", "its code has changed")
            if relation in there and (changes := _changes(session, it, decision)):
                columns[it.step.key] = changes
    return decision, columns


def _changes(session: Session, it: TargetStep, decision: Decision) -> tuple[ColumnChange, ...]:
    left = decision.unchanged.get(it.name)
    outcome = left.outcome if left else session.run(checks_task(it, "plan", 1))
    return column_changes(it.project, it.step, it.target, outcome.columns)
