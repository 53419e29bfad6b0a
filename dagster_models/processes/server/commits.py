"""The commit records of what an attempt publishes."""

from __future__ import annotations

from dataclasses import replace

from dagster_models.core.commit import Commit
from dagster_models.core.parts import asked_for, partitioned, window_texts
from dagster_models.core.tasks import BuildTask
from dagster_models.warehouses.base import Staged


def commits_of(task: BuildTask, staged: Staged) -> list[Commit]:
    """The records of what is published: one for each window of a build of partitions, else one."""
    changes = staged.changes
    commit = Commit(
        *task.id,
        str(task.relation),
        task.code_version,
        task.input_versions,
        staged.rows,
        builder=task.builder,
    )
    if changes is not None:
        commit = replace(
            commit,
            kind=changes.kind,
            since=changes.since,
            inserted=changes.inserted,
            updated=changes.updated,
            deleted=changes.deleted,
        )
    return [
        replace(
            commit,
            part=part,
            window_start=start,
            window_end=end,
            inserted=replaced.inserted,
            deleted=replaced.deleted,
        )
        for part, replaced in enumerate(staged.replaced, first_part(task))
        for start, end in [window_texts(replaced.window)]
    ] or [commit]


def first_part(task: BuildTask) -> int:
    """The number of the first record of its transaction."""
    how = partitioned(task.materialization)
    return how.part if how is not None else 0


def keys_of(task: BuildTask) -> tuple[str, ...]:
    """The keys of the partitions that it builds, alone or with all others of the table."""
    return tuple(partition.key for partition in asked_for(task.materialization))
