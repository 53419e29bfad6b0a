"""From PostgreSQL to Arrow: the columns of a query, and its rows out of COPY's CSV.

The server turns what CSV has no plain text for (arrays, bytea, intervals, times with a zone) into
one that is read back exactly. An exact number without a declared precision has, in Arrow, to get
one: its rows are written as text first, then rewritten with the digits that they need.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import arrow_files as bulk
from dagster_models.util.arrow_values import row_text

Bytes: TypeAlias = bytes | bytearray | memoryview

_UNREADABLE = re.compile(r"In CSV column #(\d+): Row #(\d+): (.*)", re.DOTALL)
_CHUNK_BYTES = 8 << 20  # of CSV that are read at a time

_PLAIN: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "oid": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
}
_DOUBLE_DIGITS = 15  # that a double holds of any decimal number
#: (The text of an address that a cast makes has its mask, too.)
_READ_FROM_JSON = frozenset({"timestamptz", "numeric", "bytea", "inet", "cidr"})
#: Types whose values are arrays, and whose first index is 0 in each of them.
_FROM_ZERO = "'int2vector', 'oidvector'"
_NOT_FINITE = pa.array(["NaN", "Infinity", "-Infinity"])


@dataclass(frozen=True, slots=True)
class OutColumn:
    """One column of a query. ``type_`` is PostgreSQL's name of its type (of its elements, where
    ``array``); ``precision`` and ``scale`` of a numeric, None where it has none declared."""

    name: str
    type_: str
    array: bool = False
    precision: int | None = None
    scale: int | None = None

    def sql(self, given: str) -> str:
        """The SQL whose text ``arrow`` reads, of the column ``given``."""
        if self.array:
            # An element of another type is read as its text, also where that text is JSON.
            plain = self.type_ in _PLAIN or self.type_ in _READ_FROM_JSON
            elements = f"to_json({given})" if plain else f"to_json({given}::text[])"
            return (
                f"CASE WHEN array_lower({given}, 1) <> 1 AND pg_typeof({given})::text NOT IN"
                f" ({_FROM_ZERO}) THEN to_json({given}::text) ELSE {elements} END"
            )
        if self.type_ == "bytea":
            return f"encode({given}, 'hex')"
        if self.type_ == "timestamptz":
            return f"{given} AT TIME ZONE 'UTC'"
        if self.type_ == "interval":
            seconds = f"extract(hour from {given}) * 3600 + extract(minute from {given}) * 60"
            return (
                f"(extract(year from {given}) * 12 + extract(month from {given}))::bigint || ' ' ||"
                f" extract(day from {given})::bigint || ' ' ||"
                f" (({seconds}) * 1000000 + extract(microseconds from {given}))::bigint"
            )
        return given

    @property
    def full_type(self) -> str:
        """The type with the digits that are declared, and the brackets of an array."""
        declared = self.type_ == "numeric" and self.scale is not None
        digits = f"({self.precision},{self.scale})" if declared else ""
        return f"{self.type_}{digits}{'[]' if self.array else ''}"

    @property
    def csv_type(self) -> pa.DataType:
        """As which pyarrow reads its text."""
        if self.array:
            return pa.string()
        if self.type_ == "timestamptz":
            return pa.timestamp("us")
        return _PLAIN.get(self.type_, pa.string())

    @property
    def is_open(self) -> bool:
        """An exact number whose digits only its rows tell (declared ones may still be NaN)."""
        return self.type_ == "numeric" and not self.array

    def arrow(self, column: pa.Array) -> pa.Array:
        """The column as read from CSV in its final type (an open one: still as text)."""
        if self.array:
            return _array(column, self.type_, self.scale)
        if self.type_ == "timestamptz":
            return pc.assume_timezone(column, "UTC")
        if self.type_ == "bytea":
            return pa.array(
                [None if text is None else bytes.fromhex(text) for text in column.to_pylist()],
                pa.binary(),
            )
        if self.type_ == "interval":
            return pa.array(
                [None if text is None else _months_days_nanos(text) for text in column.to_pylist()],
                pa.month_day_nano_interval(),
            )
        return column

    @property
    def arrow_type(self) -> pa.DataType:
        return self.arrow(pa.array([], self.csv_type)).type

    @property
    def declared_type(self) -> pa.DataType:
        """The type with the digits that are declared; text, which holds any, where none are."""
        digits, scale = self.precision, self.scale
        if not self.is_open or digits is None or scale is None:
            return self.arrow_type
        if digits > 76 or not 0 <= scale <= digits:
            return self.arrow_type
        return (pa.decimal128 if digits <= 38 else pa.decimal256)(digits, scale)


def _months_days_nanos(text: str) -> tuple[int, int, int]:
    months, days, micros = map(int, text.split(" "))
    return months, days, micros * 1000


def _array(column: pa.Array, type_: str, scale: int | None) -> pa.Array:
    """Arrays come as JSON; numbers are read as the text that they are."""
    values = [
        None if text is None else json.loads(text, parse_int=str, parse_float=str)
        for text in column.to_pylist()
    ]
    shifted = next((value for value in values if isinstance(value, str)), None)
    if shifted is not None:
        raise pa.ArrowInvalid(f"the first index of {shifted} is not 1")
    element = _PLAIN.get(type_, pa.string())
    if type_ == "timestamptz":
        element = pa.timestamp("us", "UTC")
    depth = _depth(values)
    if type_ == "numeric":
        # Without a declared scale only text is exact for all rows.
        element = pa.string() if scale is None else pa.decimal128(38, scale)
    if type_ == "bytea":
        return _nested(values, pa.binary(), depth, lambda text: bytes.fromhex(text[2:]))
    if type_ == "bool":
        return _nested(values, element, depth, bool)
    texts = _nested(values, pa.string(), depth, str)
    return texts if pa.types.is_string(element) else texts.cast(_list_of(element, depth))


def _list_of(element: pa.DataType, depth: int) -> pa.DataType:
    for _ in range(depth):
        element = pa.list_(element)
    return element


def _nested(values: Sequence[Any], element: pa.DataType, depth: int, read: Any) -> pa.Array:
    def each(value: Any, level: int) -> Any:
        if value is None:
            return None
        return [each(item, level - 1) for item in value] if level else read(value)

    return pa.array([each(value, depth) for value in values], _list_of(element, depth))


def _depth(values: Iterable[Any]) -> int:
    """Of the arrays; PostgreSQL's may have another one in each row, Arrow's may not."""
    depth = 1
    for value in values:
        level = 0
        while isinstance(value, list):
            level, value = level + 1, (value[0] if value else None)
        depth = max(depth, level)
    return depth


@dataclass(slots=True)
class _Digits:
    """What the rows of an exact number need."""

    whole: int = 1
    scale: int = 0
    finite: bool = True

    def see(self, column: pa.Array) -> None:
        texts = column.drop_null()
        if not len(texts):
            return
        if self.finite and pc.any(pc.is_in(texts, value_set=_NOT_FINITE)).as_py():
            self.finite = False
        point = pc.find_substring(texts, ".")
        length = pc.utf8_length(texts)
        whole = pc.if_else(pc.less(point, 0), length, point)
        scale = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1))
        self.whole = max(self.whole, pc.max(whole).as_py())
        self.scale = max(self.scale, pc.max(scale).as_py())

    @property
    def arrow_type(self) -> pa.DataType:
        """Exact: past 76 digits it is the text. With a NaN it is a double, or the text where a
        double has too few digits for the others."""
        precision = self.whole + self.scale
        if not self.finite:
            return pa.float64() if precision <= _DOUBLE_DIGITS else pa.string()
        if precision <= 38:
            return pa.decimal128(38 if self.scale else max(18, precision), self.scale)
        return pa.decimal256(76, self.scale) if precision <= 76 else pa.string()


def write(
    columns: Sequence[OutColumn], data: Iterable[Bytes], folders: Sequence[str]
) -> tuple[str, int]:
    """Write CSV rows to a new Arrow IPC file; its path and the number of rows.

    Raises WarehouseError for a value that Arrow has no room for (a date before 1 AD, infinity).
    """
    open_columns = {at: _Digits() for at, column in enumerate(columns) if column.is_open}
    schema = pa.schema([(column.name, column.arrow_type) for column in columns])
    batches = _batches(columns, schema, data, open_columns)
    path, rows = bulk.write(folders, schema, batches)
    if not open_columns:
        return path, rows
    try:
        return _rewrite(columns, path, folders, open_columns), rows
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _batches(
    columns: Sequence[OutColumn],
    schema: pa.Schema,
    data: Iterable[Bytes],
    open_columns: dict[int, _Digits],
) -> Iterator[pa.RecordBatch]:
    names = [str(at) for at in range(len(columns))]
    convert = pacsv.ConvertOptions(
        column_types={name: c.csv_type for name, c in zip(names, columns, strict=True)},
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    parse = pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    first = 0
    for chunk in _chunks(data):
        try:
            table = _table(chunk, names, parse, convert)
        except pa.ArrowInvalid as error:
            raise _unreadable(error, columns, first) from error
        first += table.num_rows
        for batch in table.to_batches():
            arrays = [_read(c, array) for c, array in zip(columns, batch.columns, strict=True)]
            for at, digits in open_columns.items():
                digits.see(arrays[at])
            for at, (array, field) in enumerate(zip(arrays, schema, strict=True)):
                if array.type != field.type:
                    arrays[at] = _as_declared(array, field.type, columns[at])
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _table(
    chunk: bytes, names: list[str], parse: pacsv.ParseOptions, convert: pacsv.ConvertOptions
) -> pa.Table:
    read = pacsv.ReadOptions(column_names=names, block_size=len(chunk) + 1)
    try:
        return pacsv.read_csv(io.BytesIO(chunk), read, parse, convert)
    except pa.ArrowInvalid:
        read.use_threads = False  # then the error names the row
        return pacsv.read_csv(io.BytesIO(chunk), read, parse, convert)


def _unreadable(
    error: pa.ArrowInvalid, columns: Sequence[OutColumn], first_row: int
) -> WarehouseError:
    place, value = "a value", str(error)
    found = _UNREADABLE.search(value)
    if found is not None:
        row = row_text(first_row + int(found[2]) - 1)
        place, value = f"column {columns[int(found[1])].name!r}, {row}: a value", found[3]
    return WarehouseError(
        ErrorKind.BAD_VALUE,
        f"{place} of the result cannot be read ({value}): a date before the year 1, past 9999 or"
        " infinite and the time 24:00 have no place in Arrow; cast the column to text",
        name="DataError",
    )


def _read(column: OutColumn, array: pa.Array) -> pa.Array:
    try:
        return column.arrow(array)
    except pa.ArrowException as error:
        raise WarehouseError(
            ErrorKind.BAD_VALUE,
            f"column {column.name!r} of the result has an element without an equal one in Arrow"
            f" ({error}): cast the column to text",
            name="DataError",
        ) from error


def _as_declared(array: pa.Array, type_: pa.DataType, column: OutColumn) -> pa.Array:
    """Arrays whose depth or digits are not those of the first rows."""
    try:
        return array.cast(type_)
    except pa.ArrowException as error:
        raise WarehouseError(
            ErrorKind.BAD_VALUE,
            f"the arrays of column {column.name!r} are of several dimensions or precisions, which"
            " no column of Arrow can be: cast it to jsonb or text",
            name="DataError",
        ) from error


def _chunks(data: Iterable[Bytes]) -> Iterator[bytes]:
    """Some MB of whole rows at a time: the server sends each row by itself."""
    held = bytearray()
    for part in data:
        held += part
        if len(held) >= _CHUNK_BYTES:
            yield bytes(held)
            held = bytearray()
    if held:
        yield bytes(held)


def _rewrite(
    columns: Sequence[OutColumn], path: str, folders: Sequence[str], digits: dict[int, _Digits]
) -> str:
    types = [
        (digits[at].arrow_type if at in digits else column.arrow_type)
        for at, column in enumerate(columns)
    ]
    for at, column in enumerate(columns):
        if at in digits and digits[at].finite and pa.types.is_decimal(column.declared_type):
            types[at] = column.declared_type
    schema = pa.schema([(c.name, t) for c, t in zip(columns, types, strict=True)])
    with pa.memory_map(path) as source:
        file = pa.ipc.open_file(source)

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(file.num_record_batches):
                batch = file.get_batch(number)
                arrays = [
                    array.cast(type_) if at in digits else array
                    for at, (array, type_) in enumerate(zip(batch.columns, types, strict=True))
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return bulk.write(folders, schema, batches())[0]
