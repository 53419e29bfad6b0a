"""``dagster-models plan [SELECT]``: what a run would build and why; nothing is built."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster_models.cli.build_options import add_build_options, tags_of, threads_of
from dagster_models.cli.diff import column_line
from dagster_models.cli.project import (
    counted,
    folder_of,
    is_there,
    project_of,
    warn_of_broken_files,
)
from dagster_models.cli.run import add_workspace, shown_location, workspace_of
from dagster_models.cli.selection import select_names, select_steps
from dagster_models.cli.windows import ledger, partition_counts
from dagster_models.core.model import Key, Project, Target
from dagster_models.errors import DagsterModelsError, SelectionError
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.settings import PROJECT_FILE
from dagster_models.project.targets import usable_target
from dagster_models.reporting.progress import short
from dagster_models.util.nearest import suggest
from dagster_models.util.text_table import aligned

if TYPE_CHECKING:
    from dagster_models.execution.dry_run import DryRun, WouldBuild

HELP = "print what a run would build and why, and how long it takes; nothing is built"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_build_options(parser)
    add_workspace(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: argparse.Namespace) -> int:
    from dagster_models.execution.dry_run import AskedOf, dry_run  # it imports Dagster
    from dagster_models.execution.options import chosen_target

    project = project_of(options)
    job = _job_of(project, options)
    tags = {**(job.tags if job else {}), **tags_of(options)}
    name = chosen_target(tags, {})
    target = usable_target(project, name)
    selected = {step.key for step in select_steps(project, options, name)}
    if job is not None:
        its = job.steps
        if its is None:
            its = frozenset(select_names(project, job.selection, "", name))
        selected = {key for key in selected if str(key) in its}
    there = is_there(target)
    asked = AskedOf(tags, options.partition, threads_of(options))
    try:
        found = dry_run(project, target, selected, there, asked)
        partitions = {
            step.key: partition_counts(step, ledger(project, step, target) if there else [])
            for step in found.partitioned
        }
    except ValueError as error:
        raise SelectionError(str(error)) from error
    finally:
        leave_all()
    if options.json:
        print(json.dumps(_as_json(project, target, found, partitions), indent=2))
    else:
        print("\n".join(_lines(project, target, found, partitions)))
    return warn_of_broken_files(project)


@dataclass(frozen=True, slots=True)
class _Job:
    """What a job runs: ``steps``, or what ``selection`` selects if that is None."""

    tags: Mapping[str, str]
    selection: str = ""
    steps: frozenset[str] | None = None


def _job_of(project: Project, options: argparse.Namespace) -> _Job | None:
    """The job that the options name: one of the project's file, or else of the code location.

    Raises:
        SelectionError: there is no such job, or it builds nothing.
    """
    name: str | None = options.job
    if name is None:
        return None
    job = next((it for it in project.jobs if it.name == name), None)
    if job is None:
        return _job_of_location(project, options)
    if job.only_checks:
        raise SelectionError(f"job {name} runs checks alone, and builds nothing")
    return _Job(job.tags, job.selection)


def _job_of_location(project: Project, options: argparse.Namespace) -> _Job:
    """A job that others have made of the project's assets, in the code location of `run`."""
    from dagster_models.definitions.launch import job_in, steps_of

    known = suggest(options.job, [it.name for it in project.jobs], "There are")
    what, here = f"{PROJECT_FILE} has no job {options.job!r}. {known}", os.getcwd()
    try:
        with shown_location(folder_of(options), workspace_of(options)) as location:
            job = job_in(location, options.job)
            found = _Job(job.tags, steps=steps_of(location, job))
    except DagsterModelsError as error:
        raise SelectionError(f"{what} And {error}") from error
    finally:
        os.chdir(here)
    if not found.steps:
        raise SelectionError(f"job {options.job} builds nothing of the project")
    return found


#: What becomes of a step that cannot be built, by whether its own file is wrong.
_CANNOT = {True: "broken", False: "skipped"}

# --- text ---------------------------------------------------------------------------------------


def _lines(
    project: Project,
    target: Target,
    found: DryRun,
    partitions: Mapping[Key, Mapping[str, int]],
) -> Iterator[str]:
    from dagster_models.execution.deferral import deferral_lines

    count = len(found.builds) + len(found.left_alone) + len(found.cannot)
    builds = f"{len(found.builds)} of {counted(count, 'step')}"
    yield f"A run of {project.name} on target {target.name} builds {builds}."
    rows = [
        (f"  {it.because.kind}", it.step.built_as, str(it.step.key), "; ".join(_said(it)))
        for it in found.builds
    ]
    rows += [
        (f"  {_CANNOT[it.is_broken]}", it.step.built_as, str(it.step.key), it.because)
        for it in found.cannot
    ]
    heads = list(aligned(rows)) if rows else []
    for head, it in zip(heads, found.builds, strict=False):
        yield head
        for change in it.columns:
            readers = ", ".join(map(str, it.readers.get(change.name, ())))
            yield f"      {column_line(change)}{f'  (read by {readers})' if readers else ''}"
    yield from heads[len(found.builds) :]
    if found.left_alone:
        yield f"Left alone: {', '.join(str(step.key) for step in found.left_alone)}"
    for key, counts in partitions.items():
        text = ", ".join(f"{number} {state}" for state, number in counts.items())
        yield f"Left out without --partition: {key} ({text})"
    yield from deferral_lines(found.deferral)
    yield from found.notes
    if found.checks:
        when = "after all models" if found.when == "after" else "each before its model is published"
        yield f"{counted(found.checks, 'check')} {'run' if found.checks > 1 else 'runs'}, {when}."
    yield from _time_lines(found)


def _said(it: WouldBuild) -> Iterator[str]:
    yield it.because.text
    if it.in_full:
        yield "in full"
    if it.partitions:
        first, last = it.partitions[0], it.partitions[-1]
        yield f"partition{f's {first}..{last}' if first != last else f' {first}'}"


def _time_lines(found: DryRun) -> Iterator[str]:
    if found.forecast is None:
        if found.builds:
            yield "How long it takes is not known: no run has built any of it yet."
        return
    unknown = sum(it.seconds is None for it in found.builds)
    slots = counted(found.slots, "slot")
    rest = f", if {counted(unknown, 'step')} of unknown time take the mean" if unknown else ""
    yield f"By history it takes about {duration(found.forecast.seconds)} with {slots}{rest}:"
    rows = []
    for it in found.forecast.path:
        waits = f"after waiting {duration(it.waits_seconds)} for a slot"
        taken = duration(it.end - it.start)
        rows.append((f"  +{duration(it.start)}", it.step, taken, waits * (it.waits_seconds > 0.1)))
    yield from aligned(rows)


def duration(seconds: float) -> str:
    return short(seconds) if seconds >= 10 else f"{seconds:.2g}s" if seconds else "0s"


# --- JSON ---------------------------------------------------------------------------------------


def _as_json(
    project: Project,
    target: Target,
    found: DryRun,
    partitions: Mapping[Key, Mapping[str, int]],
) -> dict[str, Any]:
    expected = found.forecast
    return {
        "project": project.name,
        "target": target.name,
        "builds": [_built(it) for it in found.builds],
        "cannot_build": [
            {"step": str(it.step.key), "why": _CANNOT[it.is_broken], "because": it.because}
            for it in found.cannot
        ],
        "left_alone": [str(step.key) for step in found.left_alone],
        "deferred": dict(found.deferral.relations),
        "on_neither_target": list(found.deferral.nowhere),
        "notes": list(found.notes),
        "checks": {"count": found.checks, "when": found.when},
        "partitioned": {str(key): dict(counts) for key, counts in partitions.items()},
        "slots": found.slots,
        "seconds": expected and round(expected.seconds, 3),
        "critical_path": [
            {"step": it.step, "start": round(it.start, 3), "end": round(it.end, 3)}
            for it in (expected.path if expected else ())
        ],
    }


def _built(it: WouldBuild) -> dict[str, Any]:
    readers: Mapping[str, Sequence[Any]] = it.readers
    return {
        "step": str(it.step.key),
        "built_as": it.step.built_as,
        "why": it.because.kind,
        "because": it.because.text,
        "in_full": it.in_full,
        "partitions": list(it.partitions),
        "columns": [
            {
                "name": change.name,
                "change": change.kind,
                "before": change.before,
                "after": change.after,
                "read_by": list(map(str, readers.get(change.name, ()))),
            }
            for change in it.columns
        ],
        "seconds": it.seconds,
    }
