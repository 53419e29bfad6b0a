"""A table to which each build adds: new rows are staged, and then written where the table is, in
one transaction with the commit record.

    turn -> $since -> new rows -> shape -> guards -> START TRANSACTION: write -> record -> COMMIT

A build in full, and one that changes the columns, makes a table beside the old one instead, and a
RENAME puts it in its place (``staging``): in MariaDB ALTER TABLE commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.mariadb.fitting import fit
from dagster_models.warehouses.mariadb.partitions import build_windows
from dagster_models.warehouses.mariadb.since import WORDS
from dagster_models.warehouses.mariadb.staging import kind_of
from dagster_models.warehouses.mariadb.types import ColumnType
from dagster_models.warehouses.mariadb.windows import MariaColumn
from dagster_models.warehouses.mariadb.writing import (
    STRATEGIES,
    RowWrite,
    index_keys,
    leave_out,
)
from dagster_models.warehouses.materializations import incremental_steps
from dagster_models.warehouses.materializations.columns import columns_of_table
from dagster_models.warehouses.materializations.incremental import differs, refuse_misunderstood
from dagster_models.warehouses.materializations.incremental_steps import BuildSteps
from dagster_models.warehouses.materializations.keys import refuse_bad_keys, refuse_keys_of_table
from dagster_models.warehouses.materializations.write import refuse_lost_rows

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.session import MariaSession


def build(session: MariaSession, task: BuildTask, how: Incremental) -> Staged:
    """See materializations/incremental_steps.py. The session has the relation's turn."""
    is_there = kind_of(session, task.relation) == "table"
    return incremental_steps.build(session, task, how, _STEPS, is_there=is_there)


def read(session: MariaSession, relation: Relation, how: Incremental) -> Reading:
    """What a Python model must know to make the rows of its next build."""
    is_there = kind_of(session, relation) == "table"
    return incremental_steps.read(session, relation, how, _STEPS, is_there=is_there)


def _made(session: MariaSession, task: BuildTask, how: Incremental) -> tuple[Relation, int]:
    stage = session.begin_stage(task.relation)
    rows = session.fill(stage.name, task.content)
    refuse_bad_keys(session, stage.name, how)
    refuse_misunderstood(session, stage.name, how)
    session.complete_stage(task.extras, is_added_to=True)
    return stage.name, rows


def _added(
    session: MariaSession,
    task: BuildTask,
    how: Incremental,
    since: str | None,
    last: Sequence[Commit],
) -> Staged:
    relation = task.relation
    new = session.begin_given(relation)
    count = session.fill(new, task.content)
    refuse_bad_keys(session, new, how)
    there = session.columns(relation)
    keys = columns_of_table(there, relation, how.unique_key, "unique_key")
    if how.strategy == "merge" and not any(it.changes and not differs(it, how) for it in last):
        refuse_keys_of_table(session, relation, keys)
    of_python = not isinstance(task.content, Query)
    fitted = fit(session, relation, how, there, new, of_python=of_python)
    index_keys(session, new, fitted.columns, keys)
    types, pairs = dict(there), dict(fitted.columns)
    changed = fitted.columns if how.strategy == "merge" else ()
    # A key that is equal and no text is the same one.
    changed = tuple(
        it for it in changed if it[0] not in keys or ColumnType.of(types[it[0]]).is_text
    )
    deletes, updates = how.strategy == "delete+insert", [its for its, _ in changed]
    target = session.begin_writing(task, fitted, deletes=deletes, updates=updates)
    key_pairs = tuple((key, pairs[key]) for key in keys)
    what = fitted.columns, key_pairs, changed, types
    write = leave_out(RowWrite(session, relation, target, new, count, *what), how)
    changes = STRATEGIES[how.strategy](write)
    if how.strategy != "merge":
        refuse_lost_rows(relation, changes.inserted, count)
    return Staged(
        relation,
        None,
        replace(changes, kind="delta", since=since),
        written=quoted(new) if fitted.covers and not session.has_triggers(relation) else "",
    )


_STEPS = BuildSteps(WORDS, MariaColumn, _made, _added, build_windows)
