"""Values that a test writes, as texts that a warehouse casts to the type of their column.

A cell must be a value of its type with nothing to cut off, as in a seed: a warehouse would round
1.5 to the whole number 2, and a test that expects 1.5 would pass.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal
from typing import Any

from dagster_models.core.unit_tests import Cell
from dagster_models.project.yaml.fields import BadValue
from dagster_models.util.seed_types import reader_of

#: Of a word alone. A `float` is a `real` in one warehouse and not in the next; a `decimal` has the
#: digits of its dialect in its type by now.
_FREE_SCALE, _FREE_FLOAT = None, "real"
_LENGTH = re.compile(
    r"(?:varchar|char|bpchar|character|character varying)\s*\((\d+)\)", re.IGNORECASE
)
_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)
_WITHOUT_ZONE = re.compile(
    r"datetime|timestamp(?:_(?:s|ms|us|ns))?(?:\s*\(\d\))?(?: without time zone)?", re.IGNORECASE
)
_UTC = re.compile(r" ?(?:Z|[+-]00(?::?00)?)$", re.ASCII)
_FRACTION = re.compile(r":\d\d\.(\d+)", re.ASCII)


def text_of(cell: Cell, type_: str) -> str | None:
    """The text of a value of a column of this type; None for NULL. That of a list or a mapping is
    for people.

    Raises BadValue if it is not a value of the type.
    """
    if cell.written is None:
        return None
    if isinstance(cell.value, (list, dict)):  # the warehouse says whether it is one of the type
        return cell.written
    if "\0" in cell.written:  # YAML has none, and a CSV file may
        what = f"{cell.written!r} has a NUL character, which cannot be written in SQL"
        raise BadValue(what, cell.place, "Delete it.")
    read = reader_of(type_, _FREE_SCALE, _FREE_FLOAT)
    if read is None:
        length = _LENGTH.fullmatch(type_)
        if length and len(cell.written) > int(length[1]):
            raise _misfit(cell, type_, f"It has more than {length[1]} characters.")
        return cell.written
    spelled = _spelled(cell)
    found = read(spelled)
    if found is None and _WITHOUT_ZONE.fullmatch(type_):
        # As every warehouse casts it. Some drop other offsets, and some move the hours by them.
        found = read(_UTC.sub("", spelled))
    if found is None:
        raise _misfit(cell, type_, _advice(cell, type_))
    return found


def value_of(cell: Cell) -> Any:
    """The value for a column whose type is not known. Raises BadValue if YAML reads another one."""
    value = cell.value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return value
    text = _spelled(cell)
    return text if ":" in text else Decimal(text)


def _spelled(cell: Cell) -> str:
    """The value as a seed would have it: YAML has forms of its own for numbers and moments.

    Raises BadValue for a number that a reader takes for another one.
    """
    value, written = cell.value, (cell.written or "").strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)) and ":" in written:
        return written  # 23:59:59 is 86399 in YAML 1.1, and a time for who writes it
    plain = written.replace("_", "")
    if isinstance(value, int):
        if plain.lstrip("+-").isdecimal() and int(plain) != value:
            what = f"{written} is {value} in YAML, where a number that begins with 0 is octal"
            raise BadValue(what, cell.place, f"Write {int(plain)} or {value}.")
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        # As it is written: a float of Python does not keep all digits of a decimal.
        return plain if _PLAIN.fullmatch(plain) else format(Decimal(plain), "f")
    if isinstance(value, dt.datetime):
        return _moment(value, written)
    return value.isoformat() if isinstance(value, dt.date) else written


def _moment(value: dt.datetime, written: str) -> str:
    """The moment with all digits of its second: Python has six."""
    fraction = _FRACTION.search(written)
    if fraction is None or len(fraction[1]) <= 6:
        return value.isoformat(" ")
    whole = value.replace(microsecond=0).isoformat(" ")
    return f"{whole[:19]}.{fraction[1]}{whole[19:]}"


def _misfit(cell: Cell, type_: str, fix: str) -> BadValue:
    return BadValue(f"{cell.written!r} is not a value of the type {type_}", cell.place, fix)


def _advice(cell: Cell, type_: str) -> str:
    if "with time zone" in type_.lower() or type_.lower() == "timestamptz":
        return "Write a time with its offset: 2024-01-05 10:00:00+00:00."
    if isinstance(cell.value, dt.datetime) and cell.value.tzinfo is not None:
        return "Delete its offset: the type has none."
    return "A value must be one of the type as it stands, with nothing to round or to cut off."
