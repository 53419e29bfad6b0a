"""The rows of some partitions of a table, which each build replaces in one transaction."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dagster_models.core.materializations import Incremental, Partitioned, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.backquotes import quoted
from dagster_models.warehouses.base import Staged
from dagster_models.warehouses.mariadb.fitting import fit
from dagster_models.warehouses.mariadb.windows import NO_COLUMN, MariaColumn
from dagster_models.warehouses.mariadb.writing import insert
from dagster_models.warehouses.materializations.columns import (
    Columns,
    columns_named,
    columns_of_table,
)
from dagster_models.warehouses.materializations.keys import refuse_bad_keys
from dagster_models.warehouses.materializations.window_counts import (
    staged_windows,
    windows_apart,
)
from dagster_models.warehouses.materializations.windows import (
    filled_in,
    has_names,
    values,
    without_bounds,
)
from dagster_models.warehouses.materializations.write import refuse_lost_rows

if TYPE_CHECKING:
    from dagster_models.warehouses.mariadb.session import MariaSession


def build_windows(
    session: MariaSession, task: BuildTask, how: Incremental, *, there: bool
) -> Staged:
    """Replace the rows of the build's partitions; ``there``: the table is, else it is made."""
    wanted, relation, content = how.partitioned, task.relation, task.content
    assert wanted is not None
    known = session.columns(relation) if there else ()
    column = _of_table(relation, wanted, known) if there else None
    of_python, filtered = not isinstance(content, Query), False
    if isinstance(content, Query):
        content, filtered = _filled(session, wanted, content, column)
    new = session.begin_given(relation) if there else session.begin_stage(relation).name
    rows = session.fill(new, content)
    left_out: tuple[int | None, int | None] = (None, None)
    if not filtered:
        left_out = _leave_out(session, new, wanted)
        rows -= sum(it or 0 for it in left_out)
    refuse_bad_keys(session, new, how)
    inserted = _by_window(session, new, _named(session, new, wanted), wanted)
    if not there:
        session.complete_stage(task.extras, is_added_to=True)
        return staged_windows(relation, rows, inserted, {}, left_out, wanted)
    fitted = fit(session, relation, how, known, new, of_python=of_python)
    target = session.begin_writing(task, fitted, deletes=True, updates=())
    column = _of_table(relation, wanted, session.columns(target))
    deleted = _by_window(session, target, column, wanted)
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


def _filled(
    session: MariaSession, how: Partitioned, content: Query, column: MariaColumn | None
) -> tuple[Query, bool]:
    """The query with the values of its reserved names, and only with rows of the windows, if it may
    stand in parentheses; whether it has."""
    if column is None:
        column = _shape(session, how, content.sql)
    query = session.subquery(filled_in(content.sql, how.partitions, column))
    if query is None:
        return Query(filled_in(content.sql, how.partitions, column)), False
    wanted = column.within(windows_apart(how))
    return Query(f"SELECT * FROM ({query}\n) AS model WHERE {wanted}"), True


def fill_in_whole(session: MariaSession, how: Partitioned, content: Query) -> Query:
    """The query of a build of the whole table: its windows have no end."""
    if not has_names(content.sql):
        return content
    return Query(filled_in(content.sql, (), _shape(session, how, content.sql, whole=True)))


def left_in_none(
    session: MariaSession, relation: Relation, how: Partitioned
) -> tuple[int | None, int]:
    """How many rows are in no partition of the set, None if that is not known, and how many have no
    value in the column."""
    column = _named(session, relation, how)
    missing = session.count(f"SELECT 1 FROM {quoted(relation)} WHERE {column.quoted} IS NULL")
    reached = ""
    with suppress(WarehouseError):  # the column does not fit: a build of partitions says so
        reached = column.within([how.reach]) if how.reach is not None else ""
    if not reached:
        return None, missing
    return session.count(f"SELECT 1 FROM {quoted(relation)} WHERE NOT ({reached})"), missing


def _leave_out(session: MariaSession, new: Relation, how: Partitioned) -> tuple[int, int]:
    """Delete the rows that are in none of the windows; how many have a value, and how many none."""
    column = _named(session, new, how)
    missing = session.count(f"SELECT 1 FROM {quoted(new)} WHERE {column.quoted} IS NULL")
    within = column.within(windows_apart(how))
    deleted = session.change(f"DELETE FROM {quoted(new)} WHERE ({within}) IS NOT TRUE")
    return deleted - missing, missing


def _by_window(
    session: MariaSession, relation: Relation, column: MariaColumn, how: Partitioned
) -> dict[int, int]:
    """How many rows are in each window, by its number."""
    windows = windows_apart(how)
    sql = (
        f"SELECT {column.number_of(windows)} AS at, count(*) FROM {quoted(relation)}"
        f" WHERE {column.within(windows)} GROUP BY 1"
    )
    return {int(number): int(count) for number, count in session.rows(sql)}


# The column --------------------------------------------------------------------------------------


def _of_table(relation: Relation, how: Partitioned, columns: Columns) -> MariaColumn:
    (name,) = columns_of_table(columns, relation, [how.by], "partitions")
    return MariaColumn.of(name, dict(columns)[name])


def _named(session: MariaSession, relation: Relation, how: Partitioned) -> MariaColumn:
    columns = session.columns_of(quoted(relation))
    (name,) = columns_named(columns, [how.by], of="partitions: the model")
    return MariaColumn.of(name, dict(columns)[name])


def _shape(
    session: MariaSession, how: Partitioned, sql: str, *, whole: bool = False
) -> MariaColumn:
    partitions = () if whole else how.partitions
    columns = session.query_columns(without_bounds(sql, partitions, NO_COLUMN))
    (name,) = columns_named(columns, [how.by], of="partitions: the query")
    return MariaColumn.of(name, dict(columns)[name])


def read_windows(
    session: MariaSession, relation: Relation, how: Partitioned, *, there: bool
) -> Reading:
    """What a Python model must know to make the rows of these partitions; of all for none."""
    column = _of_table(relation, how, session.columns(relation)) if there else None
    given = values(how.partitions, column, NO_COLUMN)
    return Reading(not how.partitions, seen="table" if there else "", windows=given)
