"""The rows of some partitions of a table, which each build replaces by one commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.materializations.keys import refuse_bad_keys
from dagster_models.warehouses.materializations.window_counts import staged_windows
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.spark.fitting import fit
from dagster_models.warehouses.spark.windows import SparkColumn

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession


def build_windows(session: SparkSession, task: BuildTask, how: Incremental, there: bool) -> Staged:
    """Replace the rows of the build's partitions; ``there``: the table is, else it is made."""
    wanted, relation, content = how.partitioned, task.relation, task.content
    assert wanted is not None
    windows = WindowQueries(session, wanted, SparkColumn)
    column = windows.column_of_table(relation) if there else None
    of_python, filtered = not isinstance(content, Query), False
    if isinstance(content, Query):
        content, filtered = windows.filled(content, column)
    given = session.begin_scratch(relation)
    session.fill(given, content)
    named = windows.column_of(given.name)
    within = named.within(it.window for it in wanted.partitions)
    outside: int | None = None
    unplaced: int | None = None
    if not filtered:
        outside, unplaced = session.rows(
            f"SELECT count(*) FILTER (WHERE NOT ({within})), count(*) FILTER (WHERE"
            f" {named.quoted} IS NULL) FROM {quoted(given.name)}"
        )[0]
    source = f"(SELECT * FROM {quoted(given.name)} WHERE {within})"
    if not there:
        stage = session.begin_stage(relation)
        session.fill(stage, Query(f"SELECT * FROM {source} AS n"))
        refuse_bad_keys(session, stage.name, how)
        inserted, deleted = windows.by_window(stage.name, named), dict[int, int]()
    else:
        there_columns = session.columns(relation)
        fitted = fit(session, relation, how, there_columns, given.name, of_python=of_python)
        query = fitted.rows(source if outside or unplaced else quoted(given.name))
        shaped = session.shaped(given, query, fitted, changed=bool(outside or unplaced))
        refuse_bad_keys(session, shaped.name, how)
        named = windows.column_of(shaped.name)
        within = named.within(it.window for it in wanted.partitions)
        inserted = windows.by_window(shaped.name, named)
        deleted = windows.by_window(relation, windows.column_of_table(relation))
        session.begin_copy(relation, fitted, shaped)
        session.delete_staged(within)
        session.put_in(shaped)
    rows = session.rows_in(session.stage)
    staged = staged_windows(relation, rows, inserted, deleted, (outside, unplaced), wanted)
    if not there:
        return staged
    name = session.name_of(staged)
    written, by_now = f"SELECT * FROM {name} WHERE {within}", ""
    if wanted.earlier:
        by_now = f"{written} OR ({named.within(it.window for it in wanted.earlier)})"
    return replace(staged, written=written, written_by_now=by_now)
