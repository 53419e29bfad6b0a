"""``defer``: a run on a developer's target reads from another one what it neither builds nor has.

This is decided once, before the first step. A deferred model is a source of the run: all that
compiles, checks and records a step treats it as such.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dagster import DagsterEvent

from dagster_models._dagster.events import engine_event
from dagster_models._dagster.types import PlanExecutionContext
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import TargetStep, warehouse_address
from dagster_models.core.model import EMPTY, Key, Project, Relation, Source, Step, Target
from dagster_models.processes.address import same_database
from dagster_models.processes.client.session import connect
from dagster_models.project.function import is_function
from dagster_models.project.targets import usable_target
from dagster_models.reporting.explain_text import PREFIX
from dagster_models.reporting.reporter import Reporter
from dagster_models.reporting.wording import counted

DEFER_TAG = "dagster_models/defer"
DEFER_VARIABLE = "DAGSTER_MODELS_DEFER"


@dataclass(frozen=True, slots=True)
class Deferral:
    """The steps of a run, as they read; ``relations``: model -> where it is read; ``nowhere``: the
    models that the run reads, and that are on neither target."""

    target_steps: Mapping[str, TargetStep]
    relations: Mapping[str, str] = EMPTY
    nowhere: tuple[str, ...] = ()


def target_to_defer_to(
    tags: Mapping[str, str], config: str | None, environ: Mapping[str, str] = os.environ
) -> str:
    """The name of the target: by the run tag, else the run config, else the environment; "" for
    none."""
    return tags.get(DEFER_TAG) or config or environ.get(DEFER_VARIABLE) or ""


def deferral(target_steps: Mapping[str, TargetStep], name: str) -> Deferral:
    """What the steps of a run read from the target *name*; "" for none.

    Raises:
        ProjectError: there is no such target.
        ValueError: it is in another database, which a query cannot read.
        WarehouseError: the warehouse cannot be reached.
    """
    found: dict[str, TargetStep] = dict(target_steps)
    relations: dict[str, str] = {}
    nowhere: list[str] = []
    for project, target, other, steps in _deferring(target_steps, name):
        read = _read(project, {target_steps[step].step.key: target_steps[step] for step in steps})
        here, there = _which_are_there(project, target, other, read)
        deferred = {key: there[key] for key in read if key not in here and key in there}
        nowhere += [str(key) for key in read if key not in here and key not in there]
        relations |= {str(key): str(relation) for key, relation in deferred.items()}
        changed = _with_sources(project, deferred)
        for step in steps:
            it = target_steps[step]
            own = {
                str(key): str(deferred[key]) for key in it.step.resolved.values() if key in deferred
            }
            found[step] = replace(it, project=changed, deferred=own)
    return Deferral(found, relations, tuple(nowhere))


def refuse_deferral(target_steps: Mapping[str, TargetStep], name: str) -> None:
    """Refuse a target from which the steps of a run cannot read. Raises as ``deferral`` does, and
    asks no warehouse."""
    for _ in _deferring(target_steps, name):
        pass


def _deferring(
    target_steps: Mapping[str, TargetStep], name: str
) -> Iterator[tuple[Project, Target, Target, list[str]]]:
    """Each project and target of a run, the target to read from, and the steps that may."""
    for project, target, steps in _by_project(target_steps) if name else ():
        other = usable_target(project, name)
        if other.name == target.name:
            continue  # nothing is missing there that could be found there
        _refuse_another_database(project, target, other)
        yield project, target, other, steps


def deferral_lines(found: Deferral) -> Iterator[str]:
    """All that the run reads from another target, and what is on neither."""
    for name in found.nowhere:
        yield f"WARNING: {name}, which is read, is on neither target"
    if found.relations:
        yield _headline(found)
        for name, relation in found.relations.items():
            yield f"    {name} is read from {relation}"


def report_deferral(
    found: Deferral, reporter: Reporter, job: PlanExecutionContext
) -> Iterator[DagsterEvent]:
    """Report the ``deferral_lines``."""
    for line in deferral_lines(found):
        reporter.note(line)
    if found.relations:
        yield engine_event(job, _headline(found), {f"{PREFIX}/deferred": dict(found.relations)})


def _headline(found: Deferral) -> str:
    return f"Deferred: {counted(len(found.relations), 'model')} read from another target"


def _by_project(
    target_steps: Mapping[str, TargetStep],
) -> Iterator[tuple[Project, Target, list[str]]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for step, it in target_steps.items():
        groups.setdefault((it.project.root, it.target.name), []).append(step)
    for steps in groups.values():
        first = target_steps[steps[0]]
        yield first.project, first.target, steps


def _read(project: Project, steps: Mapping[Key, TargetStep]) -> list[Key]:
    """The relations that these steps read, with their checks, and that they do not build: also
    those of which only the checks run."""
    built = {key for key, it in steps.items() if it.builds}
    names = (
        key
        for it in steps.values()
        for key in (it.step.key, *it.step.upstream, *it.step.resolved.values())
    )
    return [
        key
        for key in dict.fromkeys(names)
        if key in project.steps and key not in built and _is_relation(project.steps[key])
    ]


def _is_relation(step: Step) -> bool:
    return step.relation is not None and not is_function(step)


def _which_are_there(
    project: Project, target: Target, other: Target, keys: list[Key]
) -> tuple[dict[Key, Relation], dict[Key, Relation]]:
    """Those of the relations that exist on *target*, and on the *other* one."""
    own, theirs = ({key: relation_for(project, key, it) for key in keys} for it in (target, other))
    with connect(warehouse_address(project, target)) as session:
        there = {str(it) for it in session.there([*own.values(), *theirs.values()])}
    here, elsewhere = (
        {key: relation for key, relation in those.items() if str(relation) in there}
        for those in (own, theirs)
    )
    return here, elsewhere


def _refuse_another_database(project: Project, target: Target, other: Target) -> None:
    if not same_database(warehouse_address(project, target), warehouse_address(project, other)):
        raise ValueError(
            f"defer: target {target.name!r} and target {other.name!r} are in two databases, and a"
            " query reads one. Give them one database and another `schema_prefix`"
        )


def _with_sources(project: Project, deferred: Mapping[Key, Relation]) -> Project:
    """The project in which these steps are sources."""
    sources = {
        key: Source(
            key, relation, project.steps[key].location, resolved=project.steps[key].resolved
        )
        for key, relation in deferred.items()
    }
    steps = {key: step for key, step in project.steps.items() if key not in deferred}
    return replace(project, steps=steps, sources={**project.sources, **sources})
