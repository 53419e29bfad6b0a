"""Tables that an iterator of the user's yields, one after another, as the parts of one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow


class Stream:
    """Record batches of one schema, which is that of the first table; iterate over it once.

    Each table is taken from ``tables`` when the one before it was read, so that one of them is in
    memory at a time. ``to_table`` converts it. ``what`` names the whole in error messages.

    Making it takes the first table, and raises ValueError if there is none. TypeError and
    ValueError are raised, here and while it is read, for a table that cannot be stored, or whose
    columns are not those of the first one; and whatever ``tables`` raises.
    """

    def __init__(
        self, tables: Iterator[Any], to_table: Callable[[Any, str], pyarrow.Table], what: str
    ) -> None:
        self._parts = _numbered(tables, to_table, what)
        first = next(self._parts, None)
        if first is None:
            raise ValueError(f"{what} has no columns: yield an empty frame with them, at least")
        self._first = first[1]
        self.schema: pyarrow.Schema = self._first.schema

    def __iter__(self) -> Iterator[pyarrow.RecordBatch]:
        yield from self._first.to_batches()
        del self._first
        for of, table in self._parts:
            yield from _aligned(table, self.schema, of).to_batches()


def _numbered(
    tables: Iterator[Any], to_table: Callable[[Any, str], pyarrow.Table], what: str
) -> Iterator[tuple[str, pyarrow.Table]]:
    for number, value in enumerate(tables, 1):
        of = f"part {number} of {what}"
        yield of, to_table(value, of)


def _aligned(table: pyarrow.Table, schema: pyarrow.Schema, of: str) -> pyarrow.Table:
    """The columns of *table* in the order and with the types of *schema*, with equal values."""
    import pyarrow as pa

    other = set(table.column_names) ^ set(schema.names)
    if other:
        names = ", ".join(map(repr, sorted(other)))
        raise ValueError(f"the columns of {of} are not those of part 1: only one has {names}")
    columns = []
    for field in schema:
        column = table.column(field.name)
        if not _comparable(column.type, field.type) and column.null_count < len(column):
            raise ValueError(
                f"column {field.name!r} of {of} is of type {column.type}, and of type {field.type}"
                " in part 1: give it one type"
            )
        try:
            columns.append(_cast(column.combine_chunks(), field.type))
        except ValueError as error:
            raise ValueError(f"column {field.name!r} of {of}, {error}") from error
    return pa.table(columns, schema=schema)


def _cast(column: Any, type_: Any) -> Any:
    import pyarrow as pa

    from dagster_models.util.arrow_values import cast

    if column.null_count == len(column):
        return pa.nulls(len(column), type_)
    return cast(column, type_)


def _comparable(one: Any, other: Any) -> bool:
    """Whether values of the one type can be equal to values of the other without being text."""
    import pyarrow as pa

    types = pa.types
    kinds = (
        lambda it: types.is_integer(it) or types.is_floating(it) or types.is_decimal(it),
        lambda it: types.is_string(it) or types.is_large_string(it),
        lambda it: types.is_binary(it) or types.is_large_binary(it),
        types.is_time,
        types.is_duration,
        lambda it: types.is_timestamp(it) and it.tz is None,
        lambda it: types.is_timestamp(it) and it.tz is not None,
    )
    return one == other or any(kind(one) and kind(other) for kind in kinds)
