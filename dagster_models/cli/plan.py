"""``dagster-models plan [SELECT]``: what a run would build and why; nothing is built."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster_models.cli.diff import column_line
from dagster_models.cli.project import (
    add_target,
    add_vars,
    counted,
    is_there,
    project_of,
    warn_of_broken_files,
)
from dagster_models.cli.selection import add_selection, select_steps
from dagster_models.cli.windows import ledger, partition_counts
from dagster_models.core.model import Key, Project, Target
from dagster_models.processes.client.leave import leave_all
from dagster_models.project.targets import usable_target
from dagster_models.reporting.progress import short
from dagster_models.util.text_table import aligned

if TYPE_CHECKING:
    from dagster_models.execution.dry_run import DryRun, WouldBuild

HELP = "print what a run would build and why, and how long it takes; nothing is built"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_target(parser)
    add_vars(parser)
    only = "plan a run that leaves alone what a build would leave the same"
    parser.add_argument("--only-changed", action="store_true", help=only)
    parser.add_argument("--threads", type=int, metavar="N", help="how many steps run at once")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def run(options: argparse.Namespace) -> int:
    from dagster_models.execution.dry_run import dry_run  # it imports Dagster

    project = project_of(options)
    target = usable_target(project, options.target)
    selected = {step.key for step in select_steps(project, options, options.target)}
    there = is_there(target)
    try:
        found = dry_run(project, target, selected, there, options.only_changed, options.threads)
        partitions = {
            step.key: partition_counts(step, ledger(project, step, target) if there else [])
            for step in found.partitioned
        }
    finally:
        leave_all()
    if options.json:
        print(json.dumps(_as_json(project, target, found, partitions), indent=2))
    else:
        print("\n".join(_lines(project, target, found, partitions)))
    return warn_of_broken_files(project)


#: What becomes of a step that cannot be built, by whether its own file is wrong.
_CANNOT = {True: "broken", False: "skipped"}

# --- text ---------------------------------------------------------------------------------------


def _lines(
    project: Project,
    target: Target,
    found: DryRun,
    partitions: Mapping[Key, Mapping[str, int]],
) -> Iterator[str]:
    count = len(found.builds) + len(found.left_alone) + len(found.cannot)
    builds = f"{len(found.builds)} of {counted(count, 'step')}"
    yield f"A run of {project.name} on target {target.name} builds {builds}."
    rows = [
        (f"  {it.because.kind}", it.step.built_as, str(it.step.key), it.because.text)
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
    yield from _time_lines(found)


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
