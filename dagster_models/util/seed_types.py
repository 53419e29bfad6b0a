"""The types of a seed's columns: guessed where the guess changes no value, or declared.

A guess is made where each cell of a column has one plain form that is read back as it was written:
a whole number, a decimal one, an ISO date or time, true or false. All else stays text: 01234 is no
1234, NO is Norway, and nobody knows which month 01/02/24 is in.

A cell of a column whose type is declared must be a value of that type, with nothing to cut off, and
dates are ISO dates: so a file has the same values in every warehouse.
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class SeedType(Enum):
    """A type that is guessed."""

    WHOLE = "whole number"
    DECIMAL = "decimal number"
    DATE = "date"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    TEXT = "text"


_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.(?P<fraction>\d+))?)?"
_ZONE = r"\s?(?:Z|[+-]\d\d(?::?\d\d)?)"
_PLAIN = re.compile(
    r"(?P<WHOLE>0|-?[1-9]\d*)"
    r"|(?P<DECIMAL>-?(?:0|[1-9]\d*)\.\d+)"
    rf"|(?P<DATE>{_DAY})"
    rf"|(?P<TIMESTAMP>{_DAY}[ T]{_CLOCK})"
    r"|(?P<BOOLEAN>true|false|True|False|TRUE|FALSE)",
    re.ASCII,
)
#: What other readers take for a number, a date or a boolean.
_LOOKS_TYPED = re.compile(
    r"[+-]?(?=\.?\d)(?:\d+|\d{1,3}(?:,\d{3})+|\d+(?:_\d+)+)?\.?\d*(?:e[+-]?\d+)?"
    r"|0x[\da-f]+"
    r"|(?:\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d\d)|\d{4}[-/.]\d{1,2}[-/.]\d{1,2})"
    r"(?:[ T]\d.*|Z|[+-]\d\d(?::?\d\d)?)?"
    r"|\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?"
    r"|t|f|y|n|yes|no|on|off|true|false|nan|[+-]?inf(?:inity)?",
    re.ASCII | re.IGNORECASE,
)
#: What other readers take for no value where the other cells look like one of these.
_NO_VALUE = frozenset(("null", "none", "na", "n/a", "#n/a", "<na>", "nil", "-", "."))
#: Of these no digit is lost.
_SHORT = {
    SeedType.WHOLE: re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII),
    SeedType.DECIMAL: re.compile(r"(?=.{1,15}\Z)(?!-0\Z)-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII),
}
_LONG = 60  # a cell of more characters is text and looks like it
_INT64 = range(-(2**63), 2**63)
_DOUBLE_DIGITS = 15  # that a double has of any decimal number
_DOUBLE_WHOLE = 2**53


@dataclass(frozen=True, slots=True)
class Guess:
    """``doubtful`` is the place of the first cell for which a column that looks like one of another
    type has to stay text."""

    type_: SeedType
    doubtful: int | None = None


def guess(cells: Sequence[str | None]) -> Guess:
    """The type that all cells are of; text where there is none, and where no cell has a value."""
    present = [cell for cell in cells if cell is not None]
    if not present:
        return Guess(SeedType.TEXT)
    for type_, pattern in _SHORT.items():  # nearly all columns of numbers
        if all(map(pattern.fullmatch, present)):
            return Guess(type_)
    found: SeedType | None = None
    doubtful, large, absent = None, None, None
    for cell in dict.fromkeys(present):
        if cell.lower() in _NO_VALUE:
            absent = absent or cell
            continue
        type_ = _type_of(cell)
        joined = type_ if found is None else _joined(found, type_)
        if type_ is SeedType.TEXT or joined is None:
            if len(cell) > _LONG or _LOOKS_TYPED.fullmatch(cell) is None:
                return Guess(SeedType.TEXT)
            doubtful = doubtful or cell
        elif type_ is SeedType.WHOLE and abs(int(cell)) > _DOUBLE_WHOLE:
            large = large or cell
        found = joined or found
    if found is SeedType.DECIMAL:
        doubtful = doubtful or large
    if found not in (None, SeedType.TEXT):
        doubtful = doubtful or absent
    if found is None or doubtful is not None:
        return Guess(SeedType.TEXT, None if doubtful is None else cells.index(doubtful))
    return Guess(found)


def _joined(one: SeedType, other: SeedType) -> SeedType | None:
    if one is other:
        return one
    return SeedType.DECIMAL if {one, other} == {SeedType.WHOLE, SeedType.DECIMAL} else None


def _type_of(cell: str) -> SeedType:
    found = _PLAIN.fullmatch(cell)
    if found is None:
        return SeedType.TEXT
    type_ = SeedType[_group(found)]
    if type_ is SeedType.WHOLE:
        exact = len(cell) <= 18 or (len(cell) <= 20 and int(cell) in _INT64)
    elif type_ is SeedType.DECIMAL:
        exact = len(cell) <= _DOUBLE_DIGITS or _is_double(cell)
    else:
        exact = type_ is SeedType.BOOLEAN or (_is_day(cell) and len(found["fraction"] or "") <= 6)
    return type_ if exact else SeedType.TEXT


def _group(found: re.Match[str]) -> str:
    return next(name for name in SeedType.__members__ if name != "TEXT" and found[name] is not None)


def _is_double(cell: str) -> bool:
    return decimal.Decimal(repr(float(cell))) == decimal.Decimal(cell)


def _is_day(cell: str) -> bool:
    try:
        dt.date.fromisoformat(cell[:10])
    except ValueError:
        return False
    return True


# --- declared types --------------------------------------------------------------------------

_DECLARED = re.compile(
    r"([a-z_]\w*(?: precision)?)\s*(?:\(([\d\s,]*)\))?( with(?:out)? time zone)?"
)
_WHOLE_TYPES = frozenset(
    {
        *("tinyint", "smallint", "integer", "int", "bigint", "hugeint", "short", "long", "signed"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"),
        *("int1", "int2", "int4", "int8", "int16", "int32", "int64"),
    }
)
_DECIMAL_TYPES = frozenset(("decimal", "numeric", "dec"))
#: With the format in which `struct` has them. What `float` alone is depends on the warehouse.
_FLOAT_TYPES = {"real": "f", "float4": "f", "float8": "d", "double": "d", "double precision": "d"}
_FLOAT_DIGITS = {"f": 9, "d": 17}  # more are never needed to tell one from the next
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?|nan|[+-]?inf(?:inity)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.(\d*))?|\.(\d+))", re.ASCII)
_DATE = re.compile(_DAY, re.ASCII)
_TIMESTAMP = re.compile(rf"{_DAY}(?:[ T]{_CLOCK})?", re.ASCII)
_MOMENT = re.compile(rf"{_DAY}[ T]{_CLOCK}{_ZONE}", re.ASCII)
_TIME = re.compile(_CLOCK, re.ASCII)
_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))

Read = Callable[[str], "str | None"]
"""A cell as every warehouse reads it as the declared type; None where it is no such value."""


def reader_of(declared: str, free_scale: int | None, free_float: str) -> Read | None:
    """How cells of a declared type are read; None for a type that is the warehouse's own affair.

    ``free_scale``: how many digits after the point a decimal has of which that is not declared.
    ``free_float``: which of ``_FLOAT_TYPES`` a `float` is.
    """
    found = _DECLARED.fullmatch(" ".join(declared.lower().split()))
    if found is None:
        return None
    name, arguments, zone = found[1], (found[2] or "").replace(" ", ""), found[3] or ""
    if name in _WHOLE_TYPES:
        return _matching(_WHOLE)
    if name in _DECIMAL_TYPES:
        given = arguments.split(",")
        scale = int(given[1]) if len(given) > 1 and given[1] else 0 if given[0] else free_scale
        return lambda cell: cell if _has_scale(cell, scale) else None
    if name == "float" or name in _FLOAT_TYPES:
        plain = not arguments and not zone
        return _float(_FLOAT_TYPES[free_float if name == "float" else name]) if plain else None
    if name in ("bool", "boolean", "logical"):
        return _boolean
    if name == "date":
        return _day(_DATE, 0)
    digits = int(arguments) if arguments.isdigit() else _FRACTIONS.get(name, 6)
    if name == "timestamptz" or (name == "timestamp" and zone == " with time zone"):
        return _day(_MOMENT, digits)
    if name in _FRACTIONS or name in ("timestamp", "datetime"):
        return _day(_TIMESTAMP, digits)
    if name == "time" and zone != " with time zone":
        return lambda cell: cell if _has_fraction(_TIME.fullmatch(cell), digits) else None
    return None


_FRACTIONS = {"timestamp_s": 0, "timestamp_ms": 3, "timestamp_us": 6, "timestamp_ns": 9}


def _matching(pattern: re.Pattern[str]) -> Read:
    return lambda cell: cell if pattern.fullmatch(cell) else None


def _has_scale(cell: str, scale: int | None) -> bool:
    found = _NUMBER.fullmatch(cell)
    if found is None:
        return False
    return scale is None or len((found[1] or found[2] or "").rstrip("0")) <= scale


def _float(layout: str) -> Read:
    return lambda cell: cell if _FLOAT.fullmatch(cell) and _is_held(cell, layout) else None


def _is_held(cell: str, layout: str) -> bool:
    """Whether a float keeps all digits that are written: a `real` makes 16777216 of 16777217."""
    number = decimal.Decimal(cell)
    if not number.is_finite():
        return True
    digits = len(number.normalize().as_tuple().digits)
    if digits > _FLOAT_DIGITS[layout]:
        return False
    try:
        (stored,) = struct.unpack(layout, struct.pack(layout, float(cell)))
    except OverflowError:
        return False
    return decimal.Decimal(f"{stored:.{digits - 1}e}") == number


def _boolean(cell: str) -> str | None:
    word = cell.lower()
    return "true" if word in _TRUE else "false" if word in _FALSE else None


def _day(pattern: re.Pattern[str], digits: int) -> Read:
    def read(cell: str) -> str | None:
        found = pattern.fullmatch(cell)
        return cell if _has_fraction(found, digits) and _is_day(cell) else None

    return read


def _has_fraction(found: re.Match[str] | None, digits: int) -> bool:
    if found is None:
        return False
    fraction = found["fraction"] if "fraction" in found.re.groupindex else ""
    return len((fraction or "").rstrip("0")) <= digits
