"""The rows of some partitions of a table, which each build replaces: the strategy replace.

    turn -> type of the column -> stage what is in the windows -> shape -> delete -> insert

A query says the whole table, and a window is a filter on what it returns. So the table is the same
whether its partitions are built one by one or in full, and the warehouse pushes the filter down to
what the query reads. Rows that cannot be filtered there (a frame of Python, a query that is no
subquery) are filtered when they are staged, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Content, Query
from dagster_models.core.windows import Partition, Window
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import Staged, quoted
from dagster_models.warehouses.materializations.columns import columns_named, fit
from dagster_models.warehouses.materializations.hooks import Hooks
from dagster_models.warehouses.materializations.keys import refuse_bad_keys
from dagster_models.warehouses.materializations.since import shape
from dagster_models.warehouses.materializations.window_counts import (
    staged_windows,
    windows_apart,
)
from dagster_models.warehouses.materializations.window_queries import WindowQueries
from dagster_models.warehouses.materializations.windows import (
    WindowColumn,
    filled_in,
    has_names,
    without_bounds,
)
from dagster_models.warehouses.materializations.write import insert, refuse_lost_rows


def build_windows(
    session: Hooks, relation: Relation, how: Incremental, content: Content, *, there: bool
) -> Staged:
    """Replace the rows of the build's partitions; ``there``: the table is, else it is made.

    Raises WarehouseError if the column cannot be compared with the windows, or the columns have
    changed and ``on_schema_change`` does not say what to do.
    """
    wanted = how.partitioned
    assert wanted is not None
    windows = WindowQueries(session, wanted)
    known = session.columns(relation) if there else ()
    column = windows.column_of_table(relation, known) if there else None
    given = _given(session, wanted, content, column)
    if not there:
        rows = _with_hint(wanted, session.replace_table, relation, given.content)
        left_out = _leave_out(session, relation, windows, given)
        rows -= left_out.rows
        refuse_bad_keys(session, relation, how)
        apart = _Apart.of(windows.column_of(relation), wanted)
        counts = apart.counts(session, relation, rows)
        return staged_windows(relation, rows, counts, {}, left_out.counts, wanted)
    staged = _with_hint(wanted, session.stage, given.content)
    left_out = _leave_out(session, session.staging, windows, given)
    staged -= left_out.rows
    refuse_bad_keys(session, session.staging, how)
    columns = fit(session, relation, how, of_python=not isinstance(content, Query), there=known)
    session.refuse_effects(relation, deletes=True, updates=())
    if column is None or how.on_schema_change == "sync_all_columns":  # it may have another type now
        column = windows.column_of_table(relation)
    apart = _Apart.of(column, wanted)
    counts = apart.counts(session, session.staging, staged)
    deleted = apart.delete(session, relation)
    inserted = session.change(insert(relation, session.staging, columns))
    refuse_lost_rows(relation, inserted, staged)
    session.change(f"DROP TABLE {quoted(session.staging)}")
    count = session.row_count(relation)
    found = staged_windows(relation, count, counts, deleted, left_out.counts, wanted)
    written, by_now = f"SELECT * FROM {quoted(session.in_full(relation))} WHERE {apart.rows}", ""
    if wanted.earlier:
        earlier = column.within(it.window for it in wanted.earlier)
        by_now = f"{written} OR ({earlier})"
    return replace(found, written=written, written_by_now=by_now)


def fill_in_whole(session: Hooks, how: Partitioned, content: Query) -> Query:
    """The query of a build of the whole table: its windows have no end."""
    if not has_names(content.sql):
        return content
    known = _shape(session, how, content.sql, ())
    return Query(filled_in(content.sql, (), known))


# The rows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """What is to be staged. ``filtered``: it has only rows of the windows."""

    content: Content
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class _LeftOut:
    """Rows that were returned and are in no window of the build. None: nobody looked."""

    outside: int | None = None
    unplaced: int | None = None

    @property
    def rows(self) -> int:
        return (self.outside or 0) + (self.unplaced or 0)

    @property
    def counts(self) -> tuple[int | None, int | None]:
        return self.outside, self.unplaced


@dataclass(frozen=True, slots=True)
class _Apart:
    """The windows of a build, each once. ``rows`` is the condition of the rows in them: that of
    the windows, and not that of the ends of neighbours, between which the clock may have been put
    back. Counts are by the number of the window; one that is missing is 0."""

    windows: tuple[Window, ...]
    rows: str
    number: str

    @classmethod
    def of(cls, column: WindowColumn, how: Partitioned) -> _Apart:
        windows = windows_apart(how)
        return cls(windows, column.within(windows), column.number_of(windows))

    def counts(self, session: Hooks, relation: Relation, rows: int) -> dict[int, int]:
        """How many of the *rows* of a relation, which are all in these windows, are in each."""
        if len(self.windows) == 1:
            return {0: rows}
        sql = f"SELECT {self.number}, count(*) FROM {quoted(relation)} GROUP BY 1"
        return dict(session.rows(sql))

    def delete(self, session: Hooks, relation: Relation) -> dict[int, int]:
        """Delete the rows of the windows; return how many each had."""
        if len(self.windows) == 1:
            return {0: session.change(f"DELETE FROM {quoted(relation)} WHERE {self.rows}")}
        return session.delete_counted(relation, self.rows, self.number)


def _given(
    session: Hooks, how: Partitioned, content: Content, column: WindowColumn | None
) -> _Given:
    """``column``: that of the table, if that is there."""
    if not isinstance(content, Query):
        return _Given(content)
    query = session.subquery(content.sql)
    if query is None and not has_names(content.sql):
        return _Given(content)
    if column is None:
        column = _shape(session, how, content.sql, how.partitions)
    if query is None:
        return _Given(Query(filled_in(content.sql, how.partitions, column)))
    query = filled_in(query, how.partitions, column)
    wanted = column.within(it.window for it in how.partitions)
    # No line before the user's text: errors name its lines.
    return _Given(Query(f"SELECT * FROM ({query}\n) AS model WHERE {wanted}"), filtered=True)


def _with_hint(how: Partitioned, build: Callable[..., int], *arguments: Any) -> int:
    """What *build* returns. Its error may be about our filter, of which no user has ever read."""
    try:
        return build(*arguments)
    except WarehouseError as error:
        if error.kind is ErrorKind.BAD_COLUMN and how.by.lower() in error.message.lower():
            error.message += (
                f"\nThe model is partitioned by the column `{how.by}` of what it returns: is it"
                " there?"
            )
        raise


def _leave_out(
    session: Hooks, relation: Relation, windows: WindowQueries, given: _Given
) -> _LeftOut:
    """Delete the rows that are in none of the windows."""
    if given.filtered:
        return _LeftOut()
    return _LeftOut(*windows.leave_out(relation, session.change))


# The column --------------------------------------------------------------------------------------


def _shape(
    session: Hooks, how: Partitioned, sql: str, partitions: Sequence[Partition]
) -> WindowColumn:
    """The column as the query returns it, without running that."""
    hint = (
        "This came up while the types of its columns were looked for, with NULL in the place of"
        " $partition_start and the like. If that is the cause, bind a literal, which has a type:"
        " /*$partition_start*/ date '2024-01-01'"
    )
    columns = shape(session, without_bounds(sql, partitions), hint if has_names(sql) else "")
    (name,) = columns_named(columns, [how.by], of="partitions: the query")
    return WindowColumn(name, session.compared_type(dict(columns)[name]))
