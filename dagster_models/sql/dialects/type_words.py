"""Types as the warehouse's own words, e.g. ``DECIMAL(10,2)``, ``INTEGER[]``; "" is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable

WIDTH = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
REAL = {"FLOAT", "DOUBLE"}
STAMPS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
#: A whole number as written takes the type of what it meets, where it fits: always (0 to 127), or
#: into an INTEGER and wider.
LITERAL, WIDE_LITERAL = "INTEGER_LITERAL", "INTEGER_LITERAL_WIDE"
LITERALS = {LITERAL, WIDE_LITERAL}
#: 0.5 and .5 are one token to sqlglot and two types to DuckDB.
FRACTION = "DECIMAL(?)"
_DIGITS = {
    "TINYINT": 3,
    "SMALLINT": 5,
    "INTEGER": 10,
    "BIGINT": 19,
    "HUGEINT": 38,
    **dict.fromkeys(LITERALS, 10),
}


def fields_of(type_: str) -> dict[str, str] | None:
    """The fields of a STRUCT type, in order; None for any other type."""
    if not (type_.startswith("STRUCT(") and type_.endswith(")")):
        return None
    fields = {}
    for part in _split(type_[len("STRUCT(") : -1]):
        found = re.match(r'("(?:[^"]|"")+"|\S+) (.+)\Z', part)
        if found is None:
            return None
        fields[found[1].strip('"').replace('""', '"')] = found[2]
    return fields


def _split(text: str) -> list[str]:
    parts, depth, begin = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[begin:index].strip())
            begin = index + 1
    return [*parts, text[begin:].strip()]


def element_of(type_: str) -> str:
    """The type of what a list holds; "" for any other type."""
    return type_[:-2] if type_.endswith("[]") else ""


def settled(type_: str) -> str:
    """The type that a column gets: a number that met no other type is an INTEGER."""
    if type_ in LITERALS:
        return "INTEGER"
    return "" if type_ == FRACTION else type_


def unified(types: Iterable[str]) -> str:
    """The type of a choice between values (CASE, COALESCE, UNION)."""
    found = set(types)
    if len(found) == 1:
        return found.pop()
    if not found or "" in found:  # none at all: only NULLs
        return ""
    if found == LITERALS:
        return WIDE_LITERAL
    numbers = found - LITERALS
    if numbers <= set(WIDTH):
        widest = max(numbers, key=lambda type_: WIDTH[type_])
        fits = LITERAL in found or WIDTH[widest] >= WIDTH["INTEGER"]
        return widest if fits or WIDE_LITERAL not in found else ""
    decimals = {type_ for type_ in numbers if is_decimal(type_)}
    if not numbers - decimals - REAL <= set(WIDTH):
        return ""
    if "DOUBLE" in numbers:
        return "DOUBLE"
    if "FLOAT" in numbers:
        return "" if decimals else "FLOAT"
    parts = [decimal_digits(type_) for type_ in found]
    scales = [part[1] for part in parts if part is not None]
    wholes = [part[0] - part[1] for part in parts if part is not None]
    if len(scales) < len(parts):
        return ""
    return f"DECIMAL({min(max(wholes) + max(scales), 38)},{max(scales)})"


def is_decimal(type_: str) -> bool:
    return type_.startswith("DECIMAL(")


def decimal_digits(type_: str) -> tuple[int, int] | None:
    """The digits of a number in all, and behind the point; None if they are not fixed."""
    if type_ in _DIGITS:
        return _DIGITS[type_], 0
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_)
    return (int(found[1]), int(found[2])) if found else None
