"""Arrow arrays of plain Python values, as ``pa.array`` would make them, from their buffers.

Their layout is Arrow's own: https://arrow.apache.org/docs/format/Columnar.html. ``pa.array`` is not
called, because it imports pandas. It is faster once it has done so, which pays off for many values.
"""

from __future__ import annotations

import datetime as dt
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

_EPOCH_DAY = dt.date(1970, 1, 1).toordinal()
_MANY = 200_000  #: values, whose conversion here takes about as long as the import of pandas
_LARGEST = 2**31 - 1  #: bytes of a column of text, as its offsets are 32 bits wide


def plain_column(values: Sequence[Any], kinds: Collection[type]) -> Any | None:
    """An array of values that are all of one plain type, or None; else None itself.

    ``kinds``: the types of the values that are not missing. None is returned as well for many
    values, and for what does not fit: numbers of more than 64 bits, text that is not UTF-8, more
    than 2 GiB of text.
    """
    if len(values) > _MANY:
        return None
    if not kinds:
        return pa.nulls(len(values)) if all(value is None for value in values) else None
    kind, *others = kinds
    make = _MAKERS.get(kind)
    if others or make is None or any(type(it) is not kind for it in values if it is not None):
        return None
    try:
        return make(values)
    except (OverflowError, UnicodeEncodeError):
        return None


def _numbers(
    code: str, type_: Any, zero: Any, number: Callable[[Any], Any] | None = None
) -> Callable[[Sequence[Any]], Any]:
    """Makes a column of numbers, which are of an ``array.array`` of this type code."""

    def make(values: Sequence[Any]) -> Any:
        given = (zero if value is None else value for value in values)
        data = array(code, map(number, given) if number else given)
        return _array(type_, values, pa.py_buffer(data))

    return make


def _texts(
    type_: Any, encode: Callable[[Any], bytes], nothing: Any
) -> Callable[[Sequence[Any]], Any]:
    def make(values: Sequence[Any]) -> Any:
        parts = [encode(nothing if value is None else value) for value in values]
        offsets = array("q", accumulate(map(len, parts), initial=0))
        if offsets[-1] > _LARGEST:
            raise OverflowError
        buffers = pa.py_buffer(array("i", offsets)), pa.py_buffer(b"".join(parts))
        return _array(type_, values, *buffers)

    return make


def _booleans(values: Sequence[Any]) -> Any:
    return _array(pa.bool_(), values, _bits(value is True for value in values))


def _moments(values: Sequence[dt.datetime | None]) -> Any:
    """Microseconds; None for moments with a time zone, of which pyarrow chooses one."""
    if any(value.tzinfo is not None for value in values if value is not None):
        return None
    return _numbers("q", pa.timestamp("us"), dt.datetime(1970, 1, 1), _microseconds)(values)


def _microseconds(moment: dt.datetime) -> int:
    seconds = (moment.toordinal() - _EPOCH_DAY) * 86400
    seconds += moment.hour * 3600 + moment.minute * 60 + moment.second
    return seconds * 1_000_000 + moment.microsecond


def _array(type_: Any, values: Sequence[Any], *data: Any) -> Any:
    missing = sum(value is None for value in values)
    valid = _bits(value is not None for value in values) if missing else None
    return pa.Array.from_buffers(type_, len(values), [valid, *data], missing)


def _bits(bits: Iterable[bool]) -> Any:
    """A bitmap whose first bit is the lowest one of its first byte."""
    digits = "".join("1" if bit else "0" for bit in bits)
    whole = int(digits[::-1] or "0", 2)
    return pa.py_buffer(whole.to_bytes((len(digits) + 7) // 8, "little"))


_MAKERS: dict[type, Callable[[Sequence[Any]], Any]] = {
    bool: _booleans,
    int: _numbers("q", pa.int64(), 0),
    float: _numbers("d", pa.float64(), 0.0),
    str: _texts(pa.string(), str.encode, ""),
    bytes: _texts(pa.binary(), bytes, b""),
    dt.date: _numbers(
        "i", pa.date32(), dt.date(1970, 1, 1), lambda day: day.toordinal() - _EPOCH_DAY
    ),
    dt.datetime: _moments,
}
