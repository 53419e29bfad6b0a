"""The value of `$since` as a literal of MariaDB, which keeps the type of its column."""

from __future__ import annotations

import re

from dagster_models.warehouses.mariadb.text import literal
from dagster_models.warehouses.materializations.since_literals import SinceWords, plain

#: What is less than, or equal to, every value of these types. The session's time zone is UTC.
_SMALLEST = {
    "date": "DATE '0001-01-01'",
    "datetime": "TIMESTAMP '0001-01-01 00:00:00'",
    "timestamp": "TIMESTAMP '1970-01-01 00:00:00'",
    "tinyint": "-128",
    "smallint": "-32768",
    "mediumint": "-8388608",
    "int": "-2147483648",
    "bigint": "-9223372036854775808",
    "decimal": "-1e65",
    "float": "-3.5e38",
    "double": "-1.7976931348623157e308",
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), "''"),
}
_LOOKBACK = re.compile(r"INTERVAL '(\d+) (\w+?)s'")
_NUMBERS = re.compile(r"(?:tiny|small|medium|big)?int|decimal|float|double")


def _smallest(type_: str) -> str | None:
    return "-1" if type_.endswith(" unsigned") else _SMALLEST.get(type_)  # 0 is a value


def _other(text: str, type_: str) -> str:
    return text if _NUMBERS.match(type_) else literal(text)


def _cast(expression: str, type_: str) -> str:
    """A number less a number is one as it is, and a text has no lookback. The text of a FLOAT has
    six digits only."""
    word = plain(type_)
    if word.startswith("float"):
        return f"CAST({expression} AS DOUBLE)"
    if word not in ("date", "datetime", "timestamp"):
        return expression
    return f"CAST({expression} AS {'DATE' if word == 'date' else 'DATETIME(6)'})"


def _interval(lookback: str) -> str:
    """`INTERVAL '3 days'` in its words."""
    found = _LOOKBACK.fullmatch(lookback)
    if found is None:
        return lookback
    if found[2] == "millisecond":  # it has none
        return f"INTERVAL {int(found[1]) * 1000} MICROSECOND"
    return f"INTERVAL {found[1]} {found[2].upper()}"


WORDS = SinceWords(
    {"date": "DATE", "datetime": "TIMESTAMP", "timestamp": "TIMESTAMP"},
    _other,
    _smallest,
    literal,
    "CHAR",
    _cast,
    _interval,
)
