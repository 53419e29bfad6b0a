"""Arrow tables as DuckDB stores them: the same values, or an error that names column and row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.arrow_values import (
    cast,
    converted,
    first_failure,
    plain,
    rebuilt,
    refuse_nanoseconds,
    row_text,
    shown,
)

_MAX_DIGITS = 38
_PROBE = "dagster_models_probe"


def storable(table: Any) -> Any:
    """The table in types whose values DuckDB keeps. Raises WarehouseError for what it cannot."""
    try:
        schema, batches = converted(table.schema, table.to_batches(), _storable)
        if schema is not table.schema:
            table = pa.Table.from_batches(batches, schema)
        for field, column in zip(table.schema, table.columns, strict=True):
            _refuse_out_of_range(field, column)
    except ValueError as error:
        raise WarehouseError(ErrorKind.BAD_VALUE, str(error), name="DataError") from error
    return table


def _storable(field: Any) -> Any:
    if "struct<>" in str(field.type):
        raise ValueError("holds dicts without a key, which DuckDB cannot store: leave them out")
    return rebuilt(plain(field), _leaf)


def _leaf(type_: Any) -> Any:
    """DuckDB cuts off what is finer than a microsecond, except in a TIMESTAMP_NS and a TIME_NS. Its
    decimals have 38 digits."""
    types = pa.types
    if types.is_timestamp(type_) and type_.unit == "ns" and type_.tz is not None:
        return pa.timestamp("us", type_.tz)
    if types.is_duration(type_):
        return pa.duration("us")
    if types.is_decimal256(type_):
        return pa.decimal128(_MAX_DIGITS, min(type_.scale, _MAX_DIGITS))
    return type_


def _refuse_out_of_range(field: Any, column: Any) -> None:
    coarse = pa.types.is_timestamp(field.type) and field.type.unit in ("s", "ms")
    fine = "month_day_nano" in str(field.type)
    first = 0
    for chunk in column.chunks if coarse or fine else ():
        try:
            if coarse:
                cast(chunk, pa.timestamp("us", field.type.tz), first)
            else:
                refuse_nanoseconds(chunk, first)
        except ValueError as error:
            raise ValueError(f"column {field.name!r}, {error}") from error
        first += len(chunk)


def with_place(connection: Any, table: Any, error: WarehouseError) -> WarehouseError:
    """DuckDB's error for a table that it does not take, with the first value that it refuses.

    It is found on a cursor of its own, as the transaction may have ended. The error stays as it is
    where each column is taken by itself.
    """
    if error.kind not in (ErrorKind.BAD_VALUE, ErrorKind.UNSUPPORTED, ErrorKind.OTHER):
        return error
    with connection.cursor() as own:
        for name, column in zip(table.column_names, table.columns, strict=True):
            attempt = _attempt(own, name)
            try:
                attempt(column)
            except duckdb.Error:
                row = first_failure(column, attempt)
                place = f"column {name!r}, {row_text(row)}: {shown(column[row])}"
                return WarehouseError(error.kind, f"{place}: {error.message}", name=error.name)
    return error


def _attempt(own: Any, name: str) -> Callable[[Any], None]:
    def attempt(part: Any) -> None:
        own.register(_PROBE, pa.table({name: part}))
        try:
            own.execute(f"CREATE OR REPLACE TEMP TABLE {_PROBE}_table AS FROM {_PROBE}")
        finally:
            own.unregister(_PROBE)

    return attempt
