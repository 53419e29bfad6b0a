"""What the word of a type says about its values, in the words of DuckDB and PostgreSQL."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Family: TypeAlias = Literal["number", "moment", "text", ""]

_FAMILIES: dict[Family, re.Pattern[str]] = {
    "number": re.compile(
        r"(u?(tiny|small|big|huge)?int(eger)?|int[1248]|int16|numeric|dec(imal)?|real"
        r"|float[48]?|double( precision)?)( *\(.*\))?\Z"
    ),
    "moment": re.compile(r"(date|datetime|timestamp(tz|_s|_ms|_us|_ns)?)\b[^\[]*\Z"),
    "text": re.compile(r"(text|(bp)?char|varchar|character( varying)?|string)( *\(.*\))?\Z"),
}


def family(type_: str) -> Family:
    """What kind of value a column of this type holds; "" if it is another one, or not known."""
    word = type_.strip().lower()
    return next((name for name, words in _FAMILIES.items() if words.match(word)), "")
