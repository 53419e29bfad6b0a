"""The parts of a task that builds partitions: its transactions, their records, and what is left.

A task is cut into transactions of at most ``batch`` partitions, one after the other. Each of them
writes one commit record for each window that it replaces, where neighbours are one window. ``part``
counts these records within the attempt, so that they say which of its transactions took place.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from dagster_models.core.changes import Changes
from dagster_models.core.commit import ADOPTED_TABLE, Commit
from dagster_models.core.materializations import Incremental, Materialization, Partitioned
from dagster_models.core.messages import CheckOutcome, Outcome
from dagster_models.core.tasks import BuildTask, PythonTask
from dagster_models.core.windows import (
    Partition,
    TimeWindow,
    ValueWindow,
    Window,
    batches,
    covers,
    instant,
    merged,
    moment_of,
    overlap,
    text_of,
)

Builds = TypeVar("Builds", bound=BuildTask | PythonTask)


def partitioned(how: Materialization) -> Partitioned | None:
    """What the build replaces; None if that is the whole relation, or all of its rows are kept."""
    return how.partitioned if isinstance(how, Incremental) and how.partitions else None


def asked_for(how: Materialization) -> tuple[Partition, ...]:
    """The partitions that a run wants of the task, in a full refresh, too."""
    given = how.partitioned if isinstance(how, Incremental) else None
    return given.partitions if given is not None else ()


def transactions(task: Builds) -> Iterator[Builds]:
    """The task cut into those of one transaction each, in order; itself if it is one already."""
    how = partitioned(task.materialization)
    if how is None:
        yield task
        return
    part, earlier = how.part, how.earlier
    for batch in batches(how.partitions, how.batch):
        one = replace(how, partitions=batch, batch=None, part=part, earlier=earlier)
        assert isinstance(task.materialization, Incremental)
        yield replace(task, materialization=replace(task.materialization, partitioned=one))
        part += len(windows_of(batch))
        if any(check.scope == "window" for check in task.checks):
            earlier += batch


def windows_of(partitions: Iterable[Partition]) -> tuple[Window, ...]:
    """What one transaction replaces: one record is written for each of these."""
    return merged(partition.window for partition in partitions)


def record_count(task: BuildTask | PythonTask) -> int:
    """How many records the task has written when all of it is committed."""
    found = (partitioned(each.materialization) for each in transactions(task))
    return sum(len(windows_of(how.partitions)) if how else 1 for how in found)


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a task from those of its transactions, the last of which may have failed."""
    first, last = outcomes[0], outcomes[-1]
    if len(outcomes) == 1:
        return last
    committed = [outcome for outcome in outcomes if outcome.succeeded]
    changes = [outcome.changes for outcome in committed if outcome.changes is not None]
    return replace(
        last,
        started_at=first.started_at,
        seconds=sum(outcome.seconds for outcome in outcomes),
        rows=committed[-1].rows if committed else None,
        changes=Changes.total(changes) if changes else None,
        checks=latest(*(outcome.checks for outcome in outcomes)),
        partitions=tuple(key for outcome in committed for key in outcome.partitions),
        notes=tuple(dict.fromkeys(note for outcome in outcomes for note in outcome.notes)),
        partition_rows=tuple(rows for outcome in committed for rows in outcome.partition_rows),
    )


def latest(*found: Iterable[CheckOutcome]) -> tuple[CheckOutcome, ...]:
    """The last outcome of each check, which has what earlier transactions have found, too."""
    return tuple({it.name: it for each in found for it in each}.values())


# The ledger ---------------------------------------------------------------------------------------


def window_texts(window: Window) -> tuple[str, str | None]:
    """The window as a commit record has it: start and end, or the values and None."""
    if isinstance(window, ValueWindow):
        return json.dumps(list(window.values), ensure_ascii=False), None
    return text_of(window.start), text_of(window.end)


def window_of(commit: Commit) -> Window | None:
    """What the commit has replaced; None for the whole relation."""
    if commit.window_start is None:
        return None
    if commit.window_end is None:
        return ValueWindow(tuple(json.loads(commit.window_start)))
    return TimeWindow(moment_of(commit.window_start), moment_of(commit.window_end))


def built(commits: Iterable[Commit], wanted: Iterable[Partition]) -> tuple[str, ...]:
    """The keys of those partitions that these commits have built together."""
    given = [(it, window_of(it)) for it in commits if it.kind != ADOPTED_TABLE]
    return tuple(it.key for it in wanted if _is_built(it, given))


def _is_built(partition: Partition, given: Sequence[tuple[Commit, Window | None]]) -> bool:
    found = [window for commit, window in given if _found_all(partition, commit, window)]
    windows = [window for window in found if window is not None]
    return len(windows) < len(found) or covers(windows, partition.window)


def _found_all(partition: Partition, commit: Commit, window: Window | None) -> bool:
    """Whether a build that has replaced a window, None for the whole table, found all rows that the
    partition has in it. One of the whole table, or of the window that ``widen`` gives to several,
    may have been before the partition was over: then it found some of them, or none."""
    time = partition.own or partition.window
    is_its_own = window is not None and partition.own is None
    if is_its_own or not commit.committed_at or not isinstance(time, TimeWindow):
        return True
    moment = dt.datetime.fromisoformat(commit.committed_at)
    return instant(time.end) <= instant(moment)


def standing(
    commits: Iterable[Commit], wanted: Iterable[Partition], stands: Iterable[Commit]
) -> tuple[Partition, ...]:
    """The partitions that *stands*, some of the *commits* of a relation in their order, have built
    and no other commit has replaced since."""
    good = {(commit.id, commit.part) for commit in stands if commit.kind != ADOPTED_TABLE}
    last = [(commit, window_of(commit), (commit.id, commit.part) in good) for commit in commits]
    return tuple(partition for partition in wanted if _stands(partition, last))


def _stands(partition: Partition, history: Sequence[tuple[Commit, Window | None, bool]]) -> bool:
    """Whether the last builds that together cover a partition, with all that came later, are
    good."""
    window = partition.window
    later: list[Window] = []
    for commit, replaced, good in reversed(history):
        if replaced is not None and not overlap(replaced, window):
            continue
        if not good or not _found_all(partition, commit, replaced):
            return False
        if replaced is None:
            return True
        later.append(replaced)
        if covers(later, window):
            return True
    return False
