"""What a build of partitions asks of a session, in the words of its warehouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dagster_models.core.materializations import Partitioned, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query
from dagster_models.core.windows import Partition
from dagster_models.errors import WarehouseError
from dagster_models.warehouses.materializations.columns import (
    Columns,
    columns_named,
    columns_of_table,
)
from dagster_models.warehouses.materializations.hooks import Asking
from dagster_models.warehouses.materializations.window_counts import windows_apart
from dagster_models.warehouses.materializations.windows import (
    WindowColumn,
    filled_in,
    has_names,
    values,
    without_bounds,
)


@dataclass(frozen=True, slots=True)
class WindowQueries:
    """The queries of one build, about the column that its windows are of.

    ``kind`` says how the warehouse writes them. A method raises WarehouseError where the column is
    missing, or cannot be compared with the windows.
    """

    session: Asking
    how: Partitioned
    kind: type[WindowColumn] = WindowColumn

    # The column

    def column_of_table(self, relation: Relation, columns: Columns | None = None) -> WindowColumn:
        """The column in the table that is added to; *columns*: all of it, where they are known."""
        columns = self.session.columns(relation) if columns is None else columns
        (name,) = columns_of_table(columns, relation, [self.how.by], "partitions")
        return self.kind.of(name, self.session.compared_type(dict(columns)[name]))

    def column_of(self, relation: Relation) -> WindowColumn:
        """The column in a relation that has just been made of what the model returns."""
        return self._named(self.session.columns(relation), "partitions: the model")

    def column_of_query(self, sql: str, partitions: Sequence[Partition]) -> WindowColumn:
        """The column as the query returns it, without running that."""
        asked = without_bounds(sql, partitions, self._unknown)
        return self._named(self.session.query_columns(asked), "partitions: the query")

    def _named(self, columns: Columns, of: str) -> WindowColumn:
        (name,) = columns_named(columns, [self.how.by], of=of)
        return self.kind.of(name, self.session.compared_type(dict(columns)[name]))

    @property
    def _unknown(self) -> WindowColumn:
        """For values that are texts, whatever the column is."""
        return self.kind.of("", "")

    # The query

    def filled(self, content: Query, column: WindowColumn | None) -> tuple[Query, bool]:
        """The query with the values of its reserved names, and only with rows of the windows, if it
        may stand in parentheses; whether it has. *column*: that of the table, if that is there."""
        partitions = self.how.partitions
        if column is None:
            column = self.column_of_query(content.sql, partitions)
        sql = filled_in(content.sql, partitions, column)
        query = self.session.subquery(sql)
        if query is None:
            return Query(sql), False
        wanted = column.within(windows_apart(self.how))
        # No line before the user's text: errors name its lines.
        return Query(f"SELECT * FROM ({query}\n) AS model WHERE {wanted}"), True

    def filled_whole(self, content: Query) -> Query:
        """The query of a build of the whole table: its windows have no end."""
        if not has_names(content.sql):
            return content
        return Query(filled_in(content.sql, (), self.column_of_query(content.sql, ())))

    # The rows

    def by_window(self, relation: Relation, column: WindowColumn) -> dict[int, int]:
        """How many rows are in each window, by its number."""
        windows = windows_apart(self.how)
        sql = (
            f"SELECT {column.number_of(windows)} AS at, count(*)"
            f" FROM {self.session.quoted(relation)} WHERE {column.within(windows)} GROUP BY 1"
        )
        return {int(number): int(count) for number, count in self.session.rows(sql)}

    def leave_out(self, relation: Relation, change: Callable[[str], int]) -> tuple[int, int]:
        """Delete the rows that are in none of the windows; return how many have a value, and how
        many have none. *change* runs a statement, and returns how many rows it has changed."""
        column = self.column_of(relation)
        missing = self._unplaced(relation, column)
        wanted = column.within(windows_apart(self.how))
        deleted = change(
            f"DELETE FROM {self.session.quoted(relation)} WHERE ({wanted}) IS NOT TRUE"
        )
        return deleted - missing, missing

    def in_no_partition(self, relation: Relation) -> tuple[int | None, int]:
        """How many rows of a table are in none, as no partition of the set reaches their value,
        None if that is not known; and as they have no value in the column."""
        column = self.column_of(relation)
        missing = self._unplaced(relation, column)
        reach, reached = self.how.reach, ""
        with suppress(WarehouseError):  # the column does not fit: a build of partitions says so
            reached = column.within([reach]) if reach is not None else ""
        return (self._count(relation, f"NOT ({reached})") if reached else None), missing

    def _unplaced(self, relation: Relation, column: WindowColumn) -> int:
        return self._count(relation, f"{column.quoted} IS NULL")

    def _count(self, relation: Relation, where: str) -> int:
        sql = f"SELECT count(*) FROM {self.session.quoted(relation)} WHERE {where}"
        return int(self.session.rows(sql)[0][0])

    # Python

    def reading(self, relation: Relation, *, there: bool) -> Reading:
        """What a Python model must know to make the rows of these partitions; of all for none."""
        column = self.column_of_table(relation) if there else None
        given = values(self.how.partitions, column, self._unknown)
        seen = "table" if there else ""
        return Reading(not self.how.partitions, seen=seen, windows=given)
