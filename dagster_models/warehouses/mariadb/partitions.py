"""The rows of some partitions of a table, which each build replaces in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.mariadb.fitting import fit
from dagster_models.warehouses.mariadb.windows import MariaColumn
from dagster_models.warehouses.mariadb.writing import insert
from dagster_models.warehouses.materializations.keys import refuse_bad_keys
from dagster_models.warehouses.materializations.window_counts import (
    staged_windows,
    windows_apart,
)
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.materializations.write import refuse_lost_rows

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.session import MariaSession


def build_windows(session: MariaSession, task: BuildTask, how: Incremental, there: bool) -> Staged:
    """Replace the rows of the build's partitions; ``there``: the table is, else it is made."""
    wanted, relation, content = how.partitioned, task.relation, task.content
    assert wanted is not None
    windows = WindowQueries(session, wanted, MariaColumn)
    known = session.columns(relation) if there else ()
    column = windows.column_of_table(relation, known) if there else None
    of_python, filtered = not isinstance(content, Query), False
    if isinstance(content, Query):
        content, filtered = windows.filled(content, column)
    new = session.begin_given(relation) if there else session.begin_stage(relation).name
    rows = session.fill(new, content)
    left_out: tuple[int | None, int | None] = (None, None)
    if not filtered:
        left_out = windows.leave_out(new, session.change)
        rows -= sum(it or 0 for it in left_out)
    refuse_bad_keys(session, new, how)
    inserted = windows.by_window(new, windows.column_of(new))
    if not there:
        session.complete_stage(task.extras, is_added_to=True)
        return staged_windows(relation, rows, inserted, {}, left_out, wanted)
    fitted = fit(session, relation, how, known, new, of_python=of_python)
    target = session.begin_writing(task, fitted, deletes=True, updates=())
    column = windows.column_of_table(relation, session.columns(target))
    deleted = windows.by_window(target, column)
    within = column.within(windows_apart(wanted))
    session.change(f"DELETE FROM {quoted(target)} WHERE {within}")
    refuse_lost_rows(relation, session.change(insert(target, new, fitted.columns)), rows)
    staged = staged_windows(relation, None, inserted, deleted, left_out, wanted)
    if not fitted.covers or session.has_triggers(relation):
        return staged
    by_now = ""
    if wanted.earlier:
        so_far = column.within(it.window for it in (*wanted.partitions, *wanted.earlier))
        by_now = f"SELECT * FROM {quoted(target)} WHERE {so_far}"
    return replace(staged, written=quoted(new), written_by_now=by_now)
