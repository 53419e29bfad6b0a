"""From what user code returns to Arrow: the one place that knows pandas, polars and plain rows.

Nothing heavy is imported before a table is at hand: a frame library that is not in ``sys.modules``
cannot have made the value.
"""

from __future__ import annotations

import decimal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster_models.processes.client.streams import Stream
from dagster_models.util.duckdb_types import exact

if TYPE_CHECKING:
    import pyarrow

ACCEPTED = (
    "a pandas DataFrame, a polars DataFrame or LazyFrame, a pyarrow Table, RecordBatch or "
    "RecordBatchReader, a result of warehouse.sql() or warehouse.table(), a DuckDB relation, "
    "a list of dicts (one per row), or an iterator of any of these"
)


def to_arrow(
    value: Any, what: str = "the value"
) -> pyarrow.Table | pyarrow.RecordBatchReader | Stream:
    """``value`` as an Arrow table, or what has a schema and yields batches where it is a stream.

    A pandas index is dropped unless it has a name; a named one becomes a column (its levels one
    column each). Columns without any type (all null, or the object columns of an empty frame)
    become text, so that an empty frame keeps its columns.

    The types are those that every warehouse reads as the same values (``arrow_values.plain``).

    ``what`` begins the error messages. Raises TypeError when ``value`` is no table (the message
    lists what is accepted) and ValueError when one of its columns cannot be stored; a stream does
    so while it is read. An iterator's first table is taken here.
    """
    if isinstance(value, Iterator) and not hasattr(value, "__arrow_c_stream__"):
        return Stream(value, _to_table, what)
    table = _convert(value, what)
    _refuse_bad_names(table.schema.names, what)
    return _plain(table, what)


def _to_table(value: Any, what: str) -> pyarrow.Table:
    if isinstance(value, Iterator) and not hasattr(value, "__arrow_c_stream__"):
        raise TypeError(f"{what} is an iterator itself; yield its tables")
    table = to_arrow(value, what)
    return table.read_all() if hasattr(table, "read_all") else table


def _convert(value: Any, what: str) -> pyarrow.Table | pyarrow.RecordBatchReader:
    import pyarrow as pa

    if isinstance(value, (pa.Table, pa.RecordBatchReader)):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if _is(value, "pandas", "DataFrame"):
        return _from_pandas(value, what)
    if _is(value, "polars", "LazyFrame"):
        value = value.collect()
    if _is(value, "polars", "DataFrame"):
        return _from_columns(value.columns, value.get_columns(), _from_polars, what)
    if _is(value, "pandas", "Series") or _is(value, "polars", "Series"):
        raise TypeError(f"{what} is a Series, one column without a table; use .to_frame()")
    if isinstance(value, (list, tuple)):
        return _from_rows(value, what)
    if hasattr(value, "to_arrow_reader"):  # a DuckDB relation
        value = exact(value)
    if hasattr(value, "__arrow_c_stream__"):  # our own results, DuckDB relations, any Arrow table
        return pa.RecordBatchReader.from_stream(value)
    raise TypeError(f"{what} is {_named(value)}, not a table; a table is {ACCEPTED}")


def _is(value: Any, library: str, name: str) -> bool:
    """Whether ``value`` is a ``library.name``, without importing the library."""
    kind = getattr(sys.modules.get(library), name, None)
    return kind is not None and isinstance(value, kind)


def _named(value: Any) -> str:
    return "None" if value is None else f"of type {type(value).__qualname__}"


def _from_pandas(frame: Any, what: str) -> pyarrow.Table:

    columns: list[tuple[str, Any]] = []
    for level, name in enumerate(frame.index.names):
        if name is not None:
            columns.append((name, frame.index.get_level_values(level).to_series()))
    columns += [(name, frame.iloc[:, at]) for at, name in enumerate(frame.columns)]
    for name, values in columns:
        if str(values.dtype).startswith("period["):  # Arrow would store the number of the period
            raise ValueError(
                f"column {name!r} of {what} holds periods, which no warehouse knows; "
                "convert it with .dt.to_timestamp() or .astype(str)"
            )
    for name, _ in columns:
        if isinstance(name, tuple):
            raise ValueError(f"{what} has a column with several levels, {name!r}; flatten its name")
    return _from_columns(
        [str(name) for name, _ in columns], (values for _, values in columns), _from_series, what
    )


def _from_series(values: Any) -> Any:
    """A column of pandas: objects are compared with what is made of them, also as categories."""
    import pyarrow as pa

    if getattr(values.dtype, "categories", values).dtype.name == "object":
        from dagster_models.processes.client.python_values import to_array

        return to_array(values.tolist(), of_pandas=True)
    return pa.array(values, from_pandas=True)


def _from_polars(values: Any) -> Any:
    """A column of polars. Its own export makes addresses of objects, and numbers of 128 bits are a
    type that no one else knows."""
    import pyarrow as pa

    from dagster_models.processes.client.python_values import to_array

    if "Object" in str(values.dtype):
        return to_array(values.to_list())
    if str(values.dtype) in ("Int128", "UInt128"):  # 39 digits at most
        numbers = (None if n is None else decimal.Decimal(n) for n in values)
        return pa.array(numbers, pa.decimal256(39, 0))
    # The oldest level spells text as large_string, which every warehouse and pyarrow reads.
    return values.to_arrow(compat_level=sys.modules["polars"].CompatLevel.oldest())


def _from_rows(rows: Sequence[Any], what: str) -> pyarrow.Table:
    from dagster_models.processes.client.python_values import to_array

    if not rows:
        raise TypeError(
            f"{what} is an empty list, which has no columns; return an empty frame with its columns"
        )
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(
                f"{what} is a list with a row {_named(row)}; every row must be a dict of "
                "column name -> value"
            )
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = ([row.get(name) for row in rows] for name in names)
    return _from_columns([str(name) for name in names], columns, to_array, what)


def _from_columns(
    names: list[str], columns: Iterable[Any], convert: Callable[[Any], Any], what: str
) -> pyarrow.Table:
    """One conversion per column, so that an error names its column."""
    import pyarrow as pa

    _refuse_bad_names(names, what)
    arrays = []
    for name, values in zip(names, columns, strict=True):
        try:
            arrays.append(convert(values))
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            # pyarrow's own words begin with no verb.
            said = str(error) if type(error) is ValueError else f"cannot be stored: {error}"
            raise ValueError(f"column {name!r} of {what} {said}") from error
    return pa.table(arrays, names=names)


def _refuse_bad_names(names: Sequence[str], what: str) -> None:
    if not names:
        raise ValueError(f"{what} has no columns")
    seen: dict[str, str] = {}
    for name in names:
        # SQL compares names without case: the warehouse would refuse or silently rename one.
        other = seen.get(name.casefold())
        seen[name.casefold()] = name
        if other is not None:
            raise ValueError(
                f"{what} has two columns of one name, {other!r} and {name!r}; rename one "
                "(SQL ignores case; a named pandas index is a column too)"
            )


def _plain(
    table: pyarrow.Table | pyarrow.RecordBatchReader, what: str
) -> pyarrow.Table | pyarrow.RecordBatchReader:
    """The same values, of which each is one, in types that every warehouse reads."""
    import pyarrow as pa

    from dagster_models.util.arrow_values import converted, plain

    is_table = isinstance(table, pa.Table)
    batches = table.to_batches() if is_table else table
    schema, made = converted(table.schema, batches, plain, of=f" of {what}", check=True)
    if is_table:
        return pa.Table.from_batches(made, schema)
    return pa.RecordBatchReader.from_batches(schema, made)
