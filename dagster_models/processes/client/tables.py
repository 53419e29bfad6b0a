"""From what user code returns to Arrow: the one place that knows pandas, polars and plain rows.

Nothing heavy is imported before a table is at hand: a frame library that is not in ``sys.modules``
cannot have made the value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

ACCEPTED = (
    "a pandas DataFrame, a polars DataFrame or LazyFrame, a pyarrow Table, RecordBatch or "
    "RecordBatchReader, a result of warehouse.sql() or warehouse.table(), a DuckDB relation, "
    "or a list of dicts (one per row)"
)


def to_arrow(value: Any, what: str = "the value") -> pyarrow.Table | pyarrow.RecordBatchReader:
    """``value`` as an Arrow table, or as a reader where it is a stream.

    A pandas index is dropped unless it has a name; a named one becomes a column (its levels one
    column each). Columns without any type (all null, or the object columns of an empty frame)
    become text, so that an empty frame keeps its columns.

    ``what`` begins the error messages. Raises TypeError when ``value`` is no table (the message
    lists what is accepted) and ValueError when one of its columns cannot be stored.
    """
    table = _convert(value, what)
    _refuse_bad_names(table.schema.names, what)
    return _with_text_for_null(table)


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
        # The oldest level spells text as large_string, which every warehouse and pyarrow reads.
        return value.to_arrow(compat_level=sys.modules["polars"].CompatLevel.oldest())
    if _is(value, "pandas", "Series") or _is(value, "polars", "Series"):
        raise TypeError(f"{what} is a Series, one column without a table; use .to_frame()")
    if isinstance(value, (list, tuple)):
        return _from_rows(value, what)
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
    import pyarrow as pa

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
        [str(name) for name, _ in columns],
        (values for _, values in columns),
        lambda values: pa.array(values, from_pandas=True),
        what,
    )


def _from_rows(rows: Sequence[Any], what: str) -> pyarrow.Table:
    import pyarrow as pa

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
    return _from_columns([str(name) for name in names], columns, pa.array, what)


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
            raise ValueError(_bad_column(name, values, error, what)) from error
    return pa.table(arrays, names=names)


def _bad_column(name: str, values: Any, error: Exception, what: str) -> str:
    kinds = sorted({type(v).__name__ for v in values if v is not None and v == v})
    if len(kinds) > 1:
        mixed = ", ".join(kinds)
        return f"column {name!r} of {what} mixes values of types {mixed}; convert it to one type"
    return f"column {name!r} of {what} cannot be stored: {error}"


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


def _with_text_for_null(
    table: pyarrow.Table | pyarrow.RecordBatchReader,
) -> pyarrow.Table | pyarrow.RecordBatchReader:
    import pyarrow as pa

    schema = table.schema
    if not any(pa.types.is_null(field.type) for field in schema):
        return table
    fields = [f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema]
    return table.cast(pa.schema(fields))
