"""The rows of some partitions of a table, which each build replaces by one commit."""

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
from dagster_models.warehouses.materializations.columns import columns_named, columns_of_table
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
from dagster_models.warehouses.spark.fitting import fit
from dagster_models.warehouses.spark.text import one_query
from dagster_models.warehouses.spark.windows import NO_COLUMN, SparkColumn

if TYPE_CHECKING:
    from dagster_models.warehouses.spark.session import SparkSession


def build_windows(
    session: SparkSession, task: BuildTask, how: Incremental, *, there: bool
) -> Staged:
    """Replace the rows of the build's partitions; ``there``: the table is, else it is made."""
    wanted, relation, content = how.partitioned, task.relation, task.content
    assert wanted is not None
    column = _of_table(session, relation, wanted) if there else None
    of_python, filtered = not isinstance(content, Query), False
    if isinstance(content, Query):
        content, filtered = _filled(session, wanted, content, column)
    given = session.begin_scratch(relation)
    session.fill(given, content)
    named = _named(session, given.name, wanted)
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
        inserted, deleted = _by_window(session, stage.name, named, wanted), dict[int, int]()
    else:
        there_columns = session.columns(relation)
        fitted = fit(session, relation, how, there_columns, given.name, of_python=of_python)
        query = fitted.rows(source if outside or unplaced else quoted(given.name))
        shaped = session.shaped(given, query, fitted, changed=bool(outside or unplaced))
        refuse_bad_keys(session, shaped.name, how)
        named = _named(session, shaped.name, wanted)
        within = named.within(it.window for it in wanted.partitions)
        inserted = _by_window(session, shaped.name, named, wanted)
        deleted = _by_window(session, relation, _of_table(session, relation, wanted), wanted)
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


def _filled(
    session: SparkSession, how: Partitioned, content: Query, column: SparkColumn | None
) -> tuple[Query, bool]:
    """The query with the values of its reserved names, and only with rows of the windows, if it may
    stand in parentheses; whether it has."""
    if column is None:
        column = _shape(session, how, content.sql)
    query = session.subquery(filled_in(content.sql, how.partitions, column))
    if query is None:
        return Query(filled_in(content.sql, how.partitions, column)), False
    wanted = column.within(it.window for it in how.partitions)
    return Query(f"SELECT * FROM ({query}\n) AS model WHERE {wanted}"), True


def fill_in_whole(session: SparkSession, how: Partitioned, content: Query) -> Query:
    """The query of a build of the whole table: its windows have no end."""
    if not has_names(content.sql):
        return content
    return Query(filled_in(content.sql, (), _shape(session, how, content.sql, whole=True)))


def left_in_none(
    session: SparkSession, relation: Relation, how: Partitioned
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


def _by_window(
    session: SparkSession, relation: Relation, column: SparkColumn, how: Partitioned
) -> dict[int, int]:
    """How many rows are in each window, by its number."""
    windows = windows_apart(how)
    sql = (
        f"SELECT {column.number_of(windows)} AS at, count(*) FROM {quoted(relation)}"
        f" WHERE {column.within(windows)} GROUP BY 1"
    )
    return {int(number): int(count) for number, count in session.rows(sql)}


# The column --------------------------------------------------------------------------------------


def _of_table(session: SparkSession, relation: Relation, how: Partitioned) -> SparkColumn:
    columns = session.columns(relation)
    (name,) = columns_of_table(columns, relation, [how.by], "partitions")
    return SparkColumn.of(name, dict(columns)[name])


def _named(session: SparkSession, relation: Relation, how: Partitioned) -> SparkColumn:
    columns = session.columns(relation)
    (name,) = columns_named(columns, [how.by], of="partitions: the model")
    return SparkColumn.of(name, dict(columns)[name])


def _shape(
    session: SparkSession, how: Partitioned, sql: str, *, whole: bool = False
) -> SparkColumn:
    partitions = () if whole else how.partitions
    asked = one_query(without_bounds(sql, partitions, NO_COLUMN))
    columns = session.server.columns(asked, session.tag)
    (name,) = columns_named(columns, [how.by], of="partitions: the query")
    return SparkColumn.of(name, dict(columns)[name])


def read_windows(
    session: SparkSession, relation: Relation, how: Partitioned, *, there: bool
) -> Reading:
    """What a Python model must know to make the rows of these partitions; of all for none."""
    column = _of_table(session, relation, how) if there else None
    given = values(how.partitions, column, NO_COLUMN)
    return Reading(not how.partitions, seen="table" if there else "", windows=given)
