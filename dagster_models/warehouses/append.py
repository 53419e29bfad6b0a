"""Rows that are appended to a table: each value as it is, or an error that names column and row.

A warehouse makes values fit the columns of its table without a word: 1.7 becomes 2 in a column of
integers, a time is cut off a date. Here the rows get the table's types first, and a value that is
not the same after that is refused.
"""

from __future__ import annotations

import decimal
import re
from typing import Any

import pyarrow as pa

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.arrow_values import cast, row_text, shown

_WHOLE = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)


def fitted(table: Any, target: Any) -> Any:
    """The rows in the types of the schema ``target``, whose columns are found by name.

    Columns that it does not have stay as they are: those of JSON, which holds any value, and what
    is an error of the warehouse's own. Raises WarehouseError.
    """
    types = {field.name.lower(): field.type for field in target}
    for at, field in enumerate(table.schema):
        wanted = types.get(field.name.lower(), field.type)
        if wanted == field.type:
            continue
        try:
            column = _fitted(table.column(at), wanted)
        except ValueError as error:
            message = f"column {field.name!r}, {error}: convert the column before it is appended"
            raise WarehouseError(ErrorKind.BAD_VALUE, message, name="DataError") from error
        table = table.set_column(at, pa.field(field.name, column.type), column)
    return table


def _fitted(column: Any, type_: Any) -> Any:
    if pa.types.is_dictionary(type_):  # an enum
        type_ = type_.value_type
    given = column.type
    if _is_text(type_) and _is_text(given):
        return column  # it is read as whatever the table's column is
    if pa.types.is_duration(given) and str(type_) == "month_day_nano_interval":
        return column  # pyarrow has no cast; the warehouse's is exact
    chunks, first = [], 0
    for chunk in column.chunks:
        chunks.append(_same(chunk, type_, first))
        first += len(chunk)
    return pa.chunked_array(chunks, type_)


def _same(values: Any, type_: Any, first_row: int) -> Any:
    """The values in the type, or ValueError for the first one that is another one there."""
    kinds = {_kind(values.type), _kind(type_)}
    if len(kinds) > 1 and kinds not in _TEXT_AND:
        raise ValueError(f"which is of type {values.type}, goes into one of type {type_}")
    text = _is_text(values.type)
    made = cast(values, type_, first_row)
    if text and pa.types.is_temporal(type_):
        return made  # pyarrow reads ISO 8601 alone
    given = values if text else cast(made, values.type, first_row)
    if given.equals(values) and not text:
        return made
    is_same = _is_read_as if text else _is_equal
    others = made if text else given
    for at, (one, other) in enumerate(zip(values.to_pylist(), others.to_pylist(), strict=True)):
        if one is not None and not is_same(one, other):
            raise ValueError(f"{row_text(first_row + at)}: {one!r} would become {shown(made[at])}")
    return made


def _is_equal(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))


def _is_read_as(text: str, value: Any) -> bool:
    """Whether the text is that of the value, with nothing more in it: 007 is more than 7."""
    if isinstance(value, bool):
        return text.lower() == str(value).lower()
    if isinstance(value, int):
        return _WHOLE.fullmatch(text) is not None
    number = decimal.Decimal(text)
    exact = decimal.Decimal(repr(value)) if isinstance(value, float) else value
    return bool(number == exact or (number.is_nan() and exact.is_nan()))


def _kind(type_: Any) -> str:
    """Values of different kinds are never the same, except for the text of one."""
    if _is_text(type_):
        return "text"
    if "binary" in str(type_):
        return "bytes"
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return "moment"
    return "date" if pa.types.is_timestamp(type_) or pa.types.is_date(type_) else "other"


_TEXT_AND = ({"text", "moment"}, {"text", "date"}, {"text", "other"})


def _is_text(type_: Any) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))
