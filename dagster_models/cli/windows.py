"""``dagster-models windows MODEL``: which partitions are built, by the warehouse's records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import groupby

from dagster_models.cli.project import (
    add_target,
    add_vars,
    find_step,
    folder_of,
    given_by,
    is_there,
    load,
    refuse_broken,
)
from dagster_models.compilation.sql_text import relation_for
from dagster_models.compilation.tasks import warehouse_address
from dagster_models.core.commit import Commit
from dagster_models.core.model import Project, Step, Target
from dagster_models.core.parts import built, standing
from dagster_models.core.windows import Partition
from dagster_models.definitions.partitioned_jobs import partitions_of
from dagster_models.processes.client.leave import leave_all
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target

HELP = "list which partitions of a model are built, and by which version of its code"

STATES = ("built", "stale", "missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="schema.name, or a name that only one model has")
    add_target(parser)
    add_vars(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--missing", action="store_true", help="only those that were never built")
    which.add_argument(
        "--stale", action="store_true", help="only those that were built by other code than today's"
    )


def run(options: argparse.Namespace) -> int:
    project = load(folder_of(options), whole=False, given=given_by(options))
    partitioned = [step for step in project.steps.values() if step.config.partitions is not None]
    step = find_step(options.model, partitioned, "partitioned model")
    refuse_broken(project, step)
    target = usable_target(project, options.target)
    try:
        commits = _ledger(project, step, target) if is_there(target) else []
    finally:
        leave_all()
    states = states_of(partitions_of(step), commits, step.code_version)
    only = "missing" if options.missing else "stale" if options.stale else ""
    if not only:
        counts = [f"{sum(it == state for _, it in states)} {state}" for state in STATES]
        print(f"{step.key} on target {target.name}: {', '.join(counts)}")
    for state, keys in ranges(states):
        if only in ("", state):
            print(keys if only else f"{state:<8} {keys}")
    return 0


def _ledger(project: Project, step: Step, target: Target) -> list[Commit]:
    with connect(warehouse_address(project, target)) as session:
        return session.ledger(relation_for(project, step.key, target))


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
