"""``dagster-models windows [SELECT]``: which partitions are built, by the warehouse's records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dagster_models.cli.project import (
    add_target,
    add_vars,
    find_step,
    is_there,
    project_of,
    refuse_broken,
)
from dagster_models.cli.selection import add_selection, select_steps, selected
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.commit import Commit
from dagster_models.core.model import Project, Step, Target
from dagster_models.core.parts import built, standing
from dagster_models.core.windows import Partition
from dagster_models.errors import DagsterModelsError
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target

HELP = "list which partitions of models are built, and by which version of their code"

STATES = ("built", "stale", "missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_selection(parser)
    add_target(parser)
    add_vars(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--missing", action="store_true", help="only those that were never built")
    which.add_argument(
        "--stale", action="store_true", help="only those that were built by other code than today's"
    )


def run(options: argparse.Namespace) -> int:
    project = project_of(options)
    steps = _partitioned(project, options)
    for step in steps:
        refuse_broken(step)
    target = usable_target(project, options.target)
    there = is_there(target)
    try:
        commits = {it.key: ledger(project, it, target) if there else [] for it in steps}
    finally:
        leave_all()
    only = "missing" if options.missing else "stale" if options.stale else ""
    for step in steps:
        if not only:
            counts = partition_counts(step, commits[step.key])
            text = ", ".join(f"{number} {state}" for state, number in counts.items())
            print(f"{step.key} on target {target.name}: {text}")
        states = states_of(_partitions_of(step), commits[step.key], step.code_version)
        for state, keys in ranges(states):
            if not only:
                print(f"{state:<8} {keys}")
            elif only == state:
                print(keys if len(steps) == 1 else f"{step.key}  {keys}")
    return 0


def _partitioned(project: Project, options: argparse.Namespace) -> list[Step]:
    """The partitioned models that the options select.

    Raises:
        DagsterModelsError: there are none.
    """
    every = [step for step in project.steps.values() if step.config.partitions is not None]
    if not every:
        raise DagsterModelsError(
            "the project has no model with partitions: `partitions:` in a header makes one"
        )
    names = {it.key for it in select_steps(project, options, options.target)}
    found = [step for step in every if step.key in names]
    if not found:
        if not (text := selected(options)[0]):
            raise DagsterModelsError("no model with partitions is selected")
        find_step(text, every, "partitioned model")
    return found


def ledger(project: Project, step: Step, target: Target) -> list[Commit]:
    """The commit records of a model's relation."""
    with connect(warehouse_address(project, target)) as session:
        return session.ledger(relation_for(project, step.key, target))


def _partitions_of(step: Step) -> Sequence[Partition]:
    from dagster_models.definitions.partitioned_jobs import partitions_of  # it imports Dagster

    return partitions_of(step)


def partition_counts(step: Step, commits: Sequence[Commit]) -> Mapping[str, int]:
    """How many partitions of a model are in each of the STATES."""
    states = states_of(_partitions_of(step), commits, step.code_version)
    return {state: sum(it == state for _, it in states) for state in STATES}


def states_of(
    partitions: Sequence[Partition], commits: Sequence[Commit], code_version: str
) -> list[tuple[str, str]]:
    """(key, state) of each partition, by the commit records of its relation in their order."""
    today = [commit for commit in commits if commit.code_version == code_version]
    fresh = {partition.key for partition in standing(commits, partitions, today)}
    there = set(built(commits, partitions))
    return [
        (key, "built" if key in fresh else "stale" if key in there else "missing")
        for key in (partition.key for partition in partitions)
    ]


def ranges(states: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(state, keys) of neighbours with one state: a key, or a range as `--partition-range` takes
    it."""
    for state, group in groupby(states, key=lambda it: it[1]):
        keys = [key for key, _ in group]
        yield state, keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
