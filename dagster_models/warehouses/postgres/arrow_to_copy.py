"""From Arrow to PostgreSQL: a table's columns, and its rows as CSV for COPY.

CSV, as pyarrow writes it at C's speed: 1M x 10 rows in 2.5 s, where rows made in Python for the
binary format took 3.0 s. Every text that is written here is exact: PostgreSQL reads it back as the
same value. What has no type of its own there (structs, maps, lists of lists) becomes jsonb.
"""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import quote
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
    "halffloat": "real",
    "float": "real",
    "double": "double precision",
    "date32[day]": "date",
    "date64[ms]": "date",
    "month_day_nano_interval": "interval",
    "null": "text",
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
    """PostgreSQL's type for a type of Arrow."""
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
    if pa.types.is_dictionary(type_):
        return sql_type(type_.value_type)
    if _is_list(type_):
        scalar = not pa.types.is_nested(type_.value_type)
        return f"{sql_type(type_.value_type)}[]" if scalar else "jsonb"
    if pa.types.is_struct(type_) or pa.types.is_map(type_):
        return "jsonb"
    return "text"


def csv_chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
    """The rows as CSV without a header, some at a time: NULL is nothing, "" is an empty text."""
    options = pacsv.WriteOptions(include_header=False, quoting_style="needed")
    for batch in batches:
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            columns = [_writable(column) for column in part.columns]
            names = [str(at) for at in range(len(columns))]
            sink = io.BytesIO()
            pacsv.write_csv(pa.RecordBatch.from_arrays(columns, names=names), sink, options)
            yield sink.getvalue()


def _writable(column: pa.Array) -> pa.Array:
    """The column in a type that pyarrow writes, and PostgreSQL reads, as the same values."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        if type_.extension_name == "arrow.uuid":
            return _texts(column.storage, lambda value: value.hex())
        return _writable(column.storage)
    if pa.types.is_dictionary(type_):
        return _writable(column.dictionary_decode())
    if str(type_) == "halffloat":
        return column.cast(pa.float32())
    if pa.types.is_date64(type_):
        return column.cast(pa.date32())
    if pa.types.is_timestamp(type_) and type_.unit == "ns":
        return column.cast(pa.timestamp("us", type_.tz), safe=False)  # no finer time there
    if pa.types.is_time64(type_) and type_.unit == "ns":
        return column.cast(pa.time64("us"), safe=False)
    if pa.types.is_duration(type_):
        return _clock(column.cast(pa.duration("us"), safe=False).cast(pa.int64()))
    if str(type_) == "month_day_nano_interval":
        return _texts(column, _interval)
    if _is_binary(type_):
        return _texts(column, lambda value: f"\\x{value.hex()}")
    if _is_list(type_) and not pa.types.is_nested(type_.value_type):
        return _texts(column, _array)
    if pa.types.is_nested(type_):
        return _texts(column, lambda value: json.dumps(_json(value), ensure_ascii=False))
    if pa.types.is_null(type_) or "view" in str(type_):
        return column.cast(pa.string())
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
    clock = _clock(pa.array([value.nanoseconds // 1000], pa.int64()))[0]
    return f"{value.months:+} months {value.days:+} days {clock}"


def _array(values: list[Any]) -> str:
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (int, float, decimal.Decimal)):
        return str(value)
    if isinstance(value, bytes):
        text = f"\\x{value.hex()}"
    elif isinstance(value, dt.timedelta):
        text = f"{value.days:+} days +{value.seconds}.{value.microseconds:06} seconds"
    elif hasattr(value, "isoformat"):
        text = value.isoformat()
    else:
        text = _interval(value) if hasattr(value, "nanoseconds") else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: Any) -> Any:
    """What JSON can hold of a nested value; numbers past its own are texts."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):  # a map
            return {str(key): _json(item) for key, item in value}
        return [_json(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _is_binary(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_fixed_size_binary(type_)
        or str(type_) == "binary_view"
    )


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )
