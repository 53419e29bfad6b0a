"""What a run would build and why, which columns that changes, and how long it takes by history.

Nothing is built: the warehouse is read as a run with ``only_changed`` reads it before its first
step, but for the checks, which do not run.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models._dagster.partitions import definition_of
from dagster_models.compilation.column_changes import column_changes, readers_of
from dagster_models.compilation.tasks import (
    TargetStep,
    checks_task,
    refuse_broken,
    warehouse_address,
)
from dagster_models.core.checks import When
from dagster_models.core.materializations import Custom, Incremental, materialization_of
from dagster_models.core.model import EMPTY, Key, Project, Step, Target
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import BrokenFile
from dagster_models.execution.code_changes import in_full_after_a_change, refresh_notes
from dagster_models.execution.deferral import (
    Deferral,
    deferral,
    refuse_deferral,
    target_to_defer_to,
)
from dagster_models.execution.known_inputs import KnownInputs
from dagster_models.execution.options import Options, on_run
from dagster_models.execution.partitions import in_partitions, partition_tags
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
    ``readers``: who reads them. ``seconds``: how long it took before; None if that is unknown.
    ``in_full``: it could be built otherwise; ``partitions``: the keys of those that are built."""

    step: Step
    because: Because
    columns: tuple[ColumnChange, ...] = ()
    readers: Mapping[str, tuple[Key, ...]] = EMPTY
    seconds: float | None = None
    in_full: bool = False
    partitions: tuple[str, ...] = ()


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
    run leaves out that names none. ``forecast`` is None without history. ``checks``: how many
    run, those of what is left alone too, and ``when``. ``notes``: what the run would say of builds
    in full; ``deferral``: what it reads from another target."""

    builds: tuple[WouldBuild, ...]
    cannot: tuple[CannotBuild, ...]
    left_alone: tuple[Step, ...]
    partitioned: tuple[Step, ...]
    slots: int
    forecast: Forecast | None
    checks: int
    when: When
    notes: tuple[str, ...]
    deferral: Deferral


@dataclass(frozen=True, slots=True)
class AskedOf:
    """What is asked of a run: its tags; its partitions, as ``execution.partitions.partition_tags``
    takes them; and how many steps run at once, None for the project's number."""

    tags: Mapping[str, str] = EMPTY
    partition: str = ""
    threads: int | None = None


def dry_run(
    project: Project, target: Target, selected: Collection[Key], there: bool, asked: AskedOf
) -> DryRun:
    """The dry run of these steps of a project. ``there``: there is a database.

    Raises:
        WarehouseError: the warehouse cannot be reached.
        ProjectError, SelectionError, ValueError: the run would be refused.
    """
    chosen = [step for key, step in project.steps.items() if key in selected]
    partitioned = [step for step in chosen if step.config.partitions is not None]
    tags = dict(asked.tags)
    if asked.partition:
        sets = (
            (str(it.key), definition_of(it.partitions.of))
            for it in partitioned
            if it.partitions is not None
        )
        tags |= partition_tags(asked.partition, sets)
        partitioned = []
    left_out = {step.key for step in partitioned}
    every = {
        str(it.key): TargetStep(project, it, target) for it in chosen if it.key not in left_out
    }
    cannot = _cannot_build(every)
    can = {name: it for name, it in every.items() if name not in cannot}
    wanted = in_partitions(on_run(can, tags, {}), tags, "")
    begun = in_full_after_a_change(wanted) if there else wanted
    deferred = _deferral(begun, target_to_defer_to(tags, None), there)
    options = Options(max_concurrent=asked.threads)
    found = _would_build(project, target, deferred, there, options.only_changed_of(tags))
    builds = {str(it.step.key): it for it in found}
    slots = options.slots(wanted)
    graph = {name: _within(it.step, builds) for name, it in builds.items()}
    seconds = {name: it.seconds for name, it in builds.items() if it.seconds is not None}
    return DryRun(
        builds=tuple(found),
        cannot=tuple(cannot.values()),
        left_alone=tuple(it.step for name, it in wanted.items() if name not in builds),
        partitioned=tuple(partitioned),
        slots=slots,
        forecast=forecast(graph, seconds, slots),
        checks=sum(len(it.step.checks) for it in wanted.values()),
        when=next((it.checks for it in wanted.values()), "each"),
        notes=tuple(refresh_notes(wanted, begun)),
        deferral=deferred,
    )


def _would_build(
    project: Project, target: Target, deferred: Deferral, there: bool, only_changed: bool
) -> list[WouldBuild]:
    its = {name: _unchecked(it) for name, it in deferred.target_steps.items()}
    if there:
        graph = {name: _within(it.step, its) for name, it in its.items()}
        decision, columns = _look(graph, its, warehouse_address(project, target))
    else:
        nothing = Because("new", "there is no database yet")
        decision, columns = Decision(because=dict.fromkeys(its, nothing)), {}
    seconds = step_seconds(project.target_path, target.name)
    return [
        WouldBuild(
            it.step,
            decision.because.get(name, ASKED),
            columns.get(it.step.key, ()),
            readers_of(project, it.step.key, columns),
            seconds.get(name),
            it.is_built_in_full and _has_another_way(it.step),
            tuple(partition.key for partition in it.partitions),
        )
        for name, it in its.items()
        if not (only_changed and name in decision.unchanged)
    ]


def _deferral(target_steps: Mapping[str, TargetStep], name: str, there: bool) -> Deferral:
    """What the steps read from the target *name*. Without a database that is nothing."""
    if there:
        return deferral(target_steps, name)
    refuse_deferral(target_steps, name)
    return Deferral(target_steps)


def _unchecked(it: TargetStep) -> TargetStep:
    return replace(it, step=replace(it.step, checks=()))


def _has_another_way(step: Step) -> bool:
    """Whether a build of the step need not replace all of its relation."""
    return isinstance(materialization_of(step.config), (Incremental, Custom))


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


def _within(step: Step, its: Collection[str]) -> list[str]:
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
