"""A table to which each build adds, where a session is not ``Hooks``.

A build in full makes a stage, and the warehouse says what any other build does (``BuildSteps``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from dagster_models.core.changes import Changes
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.hooks import Asking
from dagster_models.warehouses.materializations.incremental import (
    is_whole,
    last_of_table,
    noted,
    reads_itself,
    refuse_another_reading,
)
from dagster_models.warehouses.materializations.since_literals import SinceWords, value_of_since
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.materializations.windows import WindowColumn

S = TypeVar("S", bound=Asking)


@dataclass(frozen=True, slots=True)
class BuildSteps(Generic[S]):
    """What is each warehouse's own.

    ``make`` stages the whole table, whose keys are refused if they are bad; it returns the stage's
    name, and how many rows it has. ``add`` stages the table with the new rows of a task; it is
    given ``$since``, and the last commit record of the table. ``build_windows`` replaces the rows
    of the build's partitions; it is given whether the table is there.
    """

    since: SinceWords
    column: type[WindowColumn]
    make: Callable[[S, BuildTask, Incremental], tuple[Relation, int]]
    add: Callable[[S, BuildTask, Incremental, str | None, Sequence[Commit]], Staged]
    build_windows: Callable[[S, BuildTask, Incremental, bool], Staged]


def build(
    session: S,
    task: BuildTask,
    how: Incremental,
    steps: BuildSteps[S],
    *,
    is_there: bool,
) -> Staged:
    """Build all of it where there is no table yet or a full refresh is asked for, else add to it.
    *is_there*: the table is.

    Raises WarehouseError as in every warehouse: see materializations/incremental.py.
    """
    last = last_of_table(session, task.relation, how, is_there=is_there)
    return noted(_built(session, task, how, steps, last, is_there=is_there), how, last)


def _built(
    session: S,
    task: BuildTask,
    how: Incremental,
    steps: BuildSteps[S],
    last: Sequence[Commit],
    *,
    is_there: bool,
) -> Staged:
    relation, content = task.relation, task.content
    whole = is_whole(how, is_new=not is_there)
    if (whole or not is_there) and how.columns:
        raise reads_itself(relation)
    if isinstance(content, Query) and (whole or not is_there) and content.full:
        content = Query(content.full)
    if how.partitions:
        return steps.build_windows(session, replace(task, content=content), how, is_there)
    if how.partitioned and isinstance(content, Query):
        content = WindowQueries(session, how.partitioned, steps.column).filled_whole(content)
    query = content.sql if isinstance(content, Query) else ""
    since = value_of_since(session, relation, how, query, steps.since, whole=whole)
    if not how.partitioned:
        refuse_another_reading(relation, how.reading, Reading(whole, since))
    if isinstance(content, Query):
        content = Query(content.sql.replace(SINCE, since or ""))
    task = replace(task, content=content)
    if not whole:
        return steps.add(session, task, how, since, last)
    name, rows = steps.make(session, task, how)
    replaced = None if is_there else 0
    left: tuple[int | None, int | None] = None, None
    if how.partitioned:
        left = WindowQueries(session, how.partitioned, steps.column).in_no_partition(name)
    return Staged(relation, rows, Changes("whole", since, rows, 0, replaced, *left))


def read(
    session: S,
    relation: Relation,
    how: Incremental,
    steps: BuildSteps[S],
    *,
    is_there: bool,
) -> Reading:
    """What a Python model must know to make the rows of its next build."""
    if how.partitioned:
        shown = how.partitioned if how.partitions else replace(how.partitioned, partitions=())
        return WindowQueries(session, shown, steps.column).reading(relation, there=is_there)
    whole = is_whole(how, is_new=not is_there)
    return Reading(whole, value_of_since(session, relation, how, "", steps.since, whole=whole))
