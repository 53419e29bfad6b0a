"""From Arrow to PostgreSQL: a table's columns, and its rows as CSV for COPY.

CSV, as pyarrow writes it at C's speed: 1M x 10 rows in 2.5 s, where rows made in Python for the
binary format took 3.0 s. Every text that is written here is exact: PostgreSQL reads it back as the
same value. What has no type of its own there (structs, maps, lists of lists) becomes jsonb, as
``to_jsonb`` of PostgreSQL writes its parts (``arrow_to_json``).
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.arrow_values import (
    converted,
    first_failure,
    plain,
    rebuilt,
    row_text,
    shown,
)
from dagster_models.warehouses.base import quote
from dagster_models.warehouses.postgres.arrow_to_json import writer
from dagster_models.warehouses.postgres.statements import refuse_long

#: Of a table; PostgreSQL's own limit (appendix K of its manual).
MAX_COLUMNS = 1600

_ROWS = 20_000  # that are written at a time

_TYPES: dict[str, str] = {
    "bool": "boolean",
    "int8": "smallint",
    "uint8": "smallint",
    "int16": "smallint",
    "uint16": "integer",
    "int32": "integer",
    "uint32": "bigint",
    "int64": "bigint",
    "uint64": "numeric(20,0)",
    "float": "real",
    "double": "double precision",
    "date32[day]": "date",
    "month_day_nano_interval": "interval",
    "string": "text",
    "large_string": "text",
}


def column_definitions(schema: pa.Schema) -> str:
    """The columns of a new table. Raises WarehouseError for what no table can have."""
    if len(schema) > MAX_COLUMNS:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"the table has {len(schema)} columns; PostgreSQL takes {MAX_COLUMNS} at most",
            name="TooManyColumns",
        )
    for field in schema:
        refuse_long(field.name, "a column")
    return ", ".join(f"{quote(field.name)} {sql_type(field.type)}" for field in schema)


def sql_type(type_: pa.DataType) -> str:
    """PostgreSQL's type for a type of Arrow that is ``storable``."""
    known = _TYPES.get(str(type_))
    if known is not None:
        return known
    if isinstance(type_, pa.BaseExtensionType):
        known = {"arrow.uuid": "uuid", "arrow.json": "jsonb"}.get(type_.extension_name)
        return known or sql_type(type_.storage_type)
    if pa.types.is_decimal(type_):
        return f"numeric({type_.precision},{type_.scale})"
    if pa.types.is_timestamp(type_):
        return "timestamp with time zone" if type_.tz else "timestamp without time zone"
    if pa.types.is_time(type_):
        return "time without time zone"
    if pa.types.is_duration(type_):
        return "interval"
    if _is_binary(type_):
        return "bytea"
    if _is_array(type_):
        return f"{sql_type(type_.value_type)}[]"
    if pa.types.is_nested(type_):
        return "jsonb"
    raise TypeError(f"{type_} is not one of the types of arrow_values.plain")


def storable(table: pa.Table) -> pa.Table:
    """The rows in types of which PostgreSQL has an equal one: it has microseconds, and no unions.

    Raises WarehouseError for a value that it cannot store.
    """
    try:
        schema, batches = converted(
            table.schema, table.to_batches(), lambda field: rebuilt(plain(field), _leaf)
        )
        return pa.Table.from_batches(batches, schema)
    except ValueError as error:
        raise WarehouseError(ErrorKind.BAD_VALUE, str(error), name="DataError") from error


def _leaf(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_union(type_):
        raise ValueError(f"is of Arrow's type {type_}, which PostgreSQL cannot store")
    if pa.types.is_date64(type_):
        return pa.date32()
    if getattr(type_, "unit", "") != "ns":
        return type_
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", type_.tz)
    return pa.time64("us") if pa.types.is_time64(type_) else pa.duration("us")


def csv_chunks(table: pa.Table) -> Iterator[bytes]:
    """The rows as CSV without a header, some at a time: NULL is nothing, "" is an empty text.

    Raises WarehouseError for a value that PostgreSQL cannot store.
    """
    first = 0
    for part in table.to_batches(max_chunksize=_ROWS):
        yield _csv(part, first)
        first += part.num_rows


def _csv(part: pa.RecordBatch, first_row: int) -> bytes:
    columns = []
    for field, column in zip(part.schema, part.columns, strict=True):
        try:
            columns.append(_checked(column))
        except (ValueError, OverflowError, pa.ArrowException) as error:
            row = first_failure(column, _checked)
            place = f"column {field.name!r}, {row_text(first_row + row)}: {shown(column[row])}"
            raise WarehouseError(
                ErrorKind.BAD_VALUE, f"{place}: {error}", name="DataError"
            ) from error
    sink = io.BytesIO()
    names = [str(at) for at in range(len(columns))]
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    pacsv.write_csv(pa.RecordBatch.from_arrays(columns, names=names), sink, options)
    return sink.getvalue()


def _checked(column: pa.Array) -> pa.Array:
    writable = _writable(column)
    texts = writable if writable.type in (pa.string(), pa.large_string()) else pa.array([""])
    # The server would find it too, and count the lines up to it wrongly.
    if pc.any(pc.match_substring(texts, "\0")).as_py():
        raise ValueError("it has a NUL character, which no text of PostgreSQL has")
    return writable


def _writable(column: pa.Array) -> pa.Array:
    """The column in a type that pyarrow writes, and PostgreSQL reads, as the same values."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        if type_.extension_name == "arrow.uuid":
            return _texts(column.storage, lambda value: value.hex())
        return _writable(column.storage)
    if pa.types.is_duration(type_):
        return _clock(column.cast(pa.duration("us")).cast(pa.int64()))
    if str(type_) == "month_day_nano_interval":
        return _texts(column, _interval)
    if _is_binary(type_):
        return _texts(column, lambda value: f"\\x{value.hex()}")
    if _is_array(type_):
        return _texts(column, _array)
    if pa.types.is_nested(type_):
        return _texts(column, writer(type_, _text))
    return column


def _texts(column: pa.Array, text: Callable[[Any], str]) -> pa.Array:
    values = (None if value is None else text(value) for value in column.to_pylist())
    return pa.array(values, pa.string())


def _clock(microseconds: pa.Array) -> pa.Array:
    """int64 -> [+-]hours:minutes:seconds. As "n microseconds" PostgreSQL 14 takes 35 minutes at
    most."""
    left, parts = pc.abs(microseconds), []
    for unit, width in ((1_000_000, 6), (60, 2), (60, 2)):
        above = pc.divide(left, unit)
        rest = pc.subtract(left, pc.multiply(above, unit)).cast(pa.string())
        parts.append(pc.utf8_lpad(rest, width, "0"))
        left = above
    fraction, seconds, minutes = parts
    sign = pc.if_else(pc.less(microseconds, 0), "-", "+")
    hours = pc.binary_join_element_wise(sign, left.cast(pa.string()), "")
    clock = pc.binary_join_element_wise(hours, minutes, seconds, ":")
    return pc.binary_join_element_wise(clock, fraction, ".")


def _interval(value: Any) -> str:
    # Each part with its sign: they are three numbers there too.
    if value.nanoseconds % 1000:
        raise ValueError("it is finer than a microsecond")
    clock = _clock(pa.array([value.nanoseconds // 1000], pa.int64()))[0]
    return f"{value.months:+} months {value.days:+} days {clock}"


def _array(values: list[Any]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: Any) -> str:
    """A single value as PostgreSQL's text."""
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    if isinstance(value, dt.timedelta):
        return f"{value.days:+} days +{value.seconds}.{value.microseconds:06} seconds"
    if hasattr(value, "nanoseconds"):
        return _interval(value)
    return str(value.isoformat() if hasattr(value, "isoformat") else value)


def _is_binary(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _is_array(type_: pa.DataType) -> bool:
    """A list that is an array of PostgreSQL: of values that are not lists or structs themselves."""
    lists = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    if not lists and not pa.types.is_fixed_size_list(type_):
        return False
    return not pa.types.is_nested(type_.value_type)
