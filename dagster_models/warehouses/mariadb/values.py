"""Values of Arrow as MariaDB's, and back: the same ones, or an error that names column and row."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

import pyarrow as pa

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.arrow_values import converted, plain, rebuilt, row_text
from dagster_models.warehouses.backquotes import quote
from dagster_models.warehouses.mariadb.text import literal


class FieldType(IntEnum):
    """How the protocol calls the types of columns."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    BIT = 16
    NEWDECIMAL = 246
    GEOMETRY = 255


_UNSIGNED = 32
_BINARY_CHARSET, _MOST_DIGITS, _MOST_SCALE = 63, 65, 38
_UTC = "UTC"
TEXT = "LONGTEXT CHARACTER SET utf8mb4"
#: Arrow's type -> ours, where one word says all.
_WORDS = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "uint8": "TINYINT UNSIGNED",
    "uint16": "SMALLINT UNSIGNED",
    "uint32": "INT UNSIGNED",
    "uint64": "BIGINT UNSIGNED",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": TEXT,
    "binary": "LONGBLOB",
    "date32[day]": "DATE",
    "time64[us]": "TIME(6)",
    "timestamp[us]": "DATETIME(6)",
    "timestamp[us, tz=UTC]": "TIMESTAMP(6)",
}
_FIRST_MOMENT = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.timezone.utc)
_AFTER_LAST_MOMENT = dt.datetime(2038, 1, 19, 3, 14, 8, tzinfo=dt.timezone.utc)


def storable(table: Any) -> Any:
    """The rows in types that MariaDB has. Raises WarehouseError for values that it cannot store."""
    try:
        schema, batches = converted(
            table.schema, table.to_batches(), lambda field: rebuilt(plain(field), _leaf)
        )
        for field in schema:
            _refuse_nested(field)
        return pa.Table.from_batches(batches, schema)
    except ValueError as error:
        raise _bad(str(error)) from error


def _bad(message: str) -> WarehouseError:
    return WarehouseError(ErrorKind.BAD_VALUE, message, name="DataError")


def _refuse_nested(field: Any) -> None:
    if pa.types.is_nested(field.type):
        what = f"is of Arrow's type {field.type}, which MariaDB has not: store it as text (JSON)"
        raise ValueError(f"column {field.name!r} {what}")


def _leaf(type_: Any) -> Any:
    types = pa.types
    if isinstance(type_, pa.BaseExtensionType):
        json = type_.extension_name == "arrow.json"
        return pa.string() if json else pa.binary()
    if types.is_timestamp(type_):
        return pa.timestamp("us", _UTC if type_.tz else None)
    if types.is_time(type_):
        return pa.time64("us")
    if types.is_date64(type_):
        return pa.date32()
    if types.is_large_string(type_):
        return pa.string()
    if types.is_large_binary(type_) or types.is_fixed_size_binary(type_):
        return pa.binary()
    too_long = types.is_decimal(type_) and (
        type_.precision > _MOST_DIGITS or type_.scale > _MOST_SCALE
    )
    if too_long or types.is_duration(type_) or types.is_union(type_) or "interval" in str(type_):
        raise ValueError(f"is of Arrow's type {type_}, which MariaDB has not: cast it to text")
    return type_


def word_of(type_: Any) -> str:
    """The type of a column that holds values of a ``storable`` type."""
    if pa.types.is_decimal(type_):
        return f"DECIMAL({type_.precision},{type_.scale})"
    return _WORDS[str(type_)]


def definitions(schema: Any) -> str:
    # NULL in so many words: the first TIMESTAMP of a table would else be that of the last change.
    return ", ".join(f"{quote(field.name)} {word_of(field.type)} NULL" for field in schema)


# To literals -------------------------------------------------------------------------------------


def rows_as_sql(table: Any) -> Iterator[str]:
    """The rows of a ``storable`` table as SQL, in parentheses."""
    first = 0
    for batch in table.to_batches(max_chunksize=10_000):
        columns = [
            _as_sql(field, column, first)
            for field, column in zip(batch.schema, batch.columns, strict=True)
        ]
        for row in zip(*columns, strict=True):
            yield f"({','.join(row)})"
        first += batch.num_rows


def _as_sql(field: Any, column: Any, first: int) -> list[str]:
    write = _writer(field.type)
    found = []
    for at, value in enumerate(column.to_pylist()):
        try:
            found.append("NULL" if value is None else write(value))
        except ValueError as error:
            raise _bad(f"column {field.name!r}, {row_text(first + at)}: {error}") from error
    return found


def _writer(type_: Any) -> Callable[[Any], str]:
    types = pa.types
    if types.is_boolean(type_):
        return lambda value: "1" if value else "0"
    if types.is_floating(type_):
        return _float
    if types.is_decimal(type_):
        return lambda value: f"{value:f}"
    if types.is_integer(type_):
        return str
    if types.is_string(type_):
        return literal
    if types.is_binary(type_):
        return lambda value: f"x'{value.hex()}'"
    if types.is_timestamp(type_):
        return _moment if type_.tz else lambda value: f"'{_written(value)}'"
    return lambda value: f"'{value.isoformat()}'"  # a date or a time


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number that MariaDB can store: make it NULL")
    return repr(value) if "e" in repr(value) else f"{value!r}e0"


def _moment(value: dt.datetime) -> str:
    if not _FIRST_MOMENT <= value < _AFTER_LAST_MOMENT:
        raise ValueError(
            f"{value} is not between 1970 and January 2038, as a TIMESTAMP of MariaDB has to be:"
            " convert it to a time without a zone (DATETIME)"
        )
    return f"'{_written(value.astimezone(dt.timezone.utc))}'"


def _written(value: dt.datetime) -> str:
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


# From the server's texts -------------------------------------------------------------------------


class ReadColumn:
    """A column of a result: its name, its type of Arrow, and how its texts are read."""

    def __init__(self, field: Any) -> None:
        self.name: str = field.name
        code, flags = field.type_code, field.flags
        self.is_float = code == FieldType.FLOAT
        self.word, self.type, self._read = _of_field(
            code, field.length, field.scale, field.charsetnr, bool(flags & _UNSIGNED)
        )
        if self.type is None:
            raise WarehouseError(
                ErrorKind.UNSUPPORTED,
                f"column {self.name!r} is of the type {self.word}, whose values are no values of"
                " Arrow: convert them in the query, e.g. by ST_AsText",
                name="NoEqualType",
            )

    def array(self, values: Sequence[Any], first: int) -> Any:
        """Raises WarehouseError for a value that the type cannot hold."""
        if self._read is None:
            return pa.array(values, self.type)
        made = []
        for at, value in enumerate(values):
            try:
                made.append(None if value is None else self._read(value))
            except (ValueError, OverflowError) as error:
                place = f"column {self.name!r}, {row_text(first + at)}"
                raise _bad(f"{place}: {value!r} is no value of {self.type}: {error}") from error
        return pa.array(made, self.type)


_WHOLE: dict[int, tuple[str, int]] = {
    FieldType.TINY: ("tinyint", 8),
    FieldType.SHORT: ("smallint", 16),
    FieldType.INT24: ("int", 32),
    FieldType.LONG: ("int", 32),
    FieldType.LONGLONG: ("bigint", 64),
}
_Found = tuple[str, Any, "Callable[[Any], Any] | None"]


def _of_field(code: int, length: int, scale: int, charset: int, unsigned: bool) -> _Found:
    if code == FieldType.TINY and length == 1:
        return "boolean", pa.bool_(), _boolean
    if code in _WHOLE:
        word, bits = _WHOLE[code]
        type_ = getattr(pa, f"{'u' * unsigned}int{bits}")()
        return word + " unsigned" * unsigned, type_, int
    if code in (FieldType.DECIMAL, FieldType.NEWDECIMAL):
        digits = max(1, length - (scale > 0) - (not unsigned))
        type_ = (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, scale)
        return f"decimal({digits},{scale})", type_, decimal.Decimal
    if code in _OTHERS:
        return _OTHERS[code]
    if code == FieldType.GEOMETRY:
        return "geometry", None, None
    if charset == _BINARY_CHARSET:
        return "varbinary", pa.binary(), None
    return "varchar", pa.string(), None


def _boolean(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("a TINYINT(1) is taken for a boolean: cast it, e.g. to SIGNED")
    return text == "1"


def _bits(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _time(text: str) -> dt.time:
    # Longer ones, and those below zero, are no times of day.
    return dt.time.fromisoformat(_padded(text, len("00:00:00.000000")))


def _datetime(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(_padded(text, len("0000-00-00 00:00:00.000000")))


def _padded(text: str, length: int) -> str:
    """Python 3.10 reads three or six digits behind the point."""
    return text.ljust(length, "0") if "." in text else text


_OTHERS: dict[int, _Found] = {
    FieldType.YEAR: ("smallint", pa.int16(), int),
    FieldType.FLOAT: ("float", pa.float32(), float),
    FieldType.DOUBLE: ("double", pa.float64(), float),
    FieldType.DATE: ("date", pa.date32(), dt.date.fromisoformat),
    FieldType.TIME: ("time", pa.time64("us"), _time),
    FieldType.DATETIME: ("datetime", pa.timestamp("us"), _datetime),
    FieldType.TIMESTAMP: ("timestamp", pa.timestamp("us", _UTC), _datetime),
    FieldType.BIT: ("bigint unsigned", pa.uint64(), _bits),
    FieldType.NULL: ("varchar", pa.string(), None),
}
