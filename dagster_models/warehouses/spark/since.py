"""The value of `$since` as a literal of Spark, which keeps the type of its column."""

from __future__ import annotations

from dagster_models.warehouses.materializations.since_literals import SinceWords
from dagster_models.warehouses.spark.text import literal

#: What is less than, or equal to, every value of these types.
_SMALLEST = {
    "date": "DATE '0001-01-01'",
    "timestamp": "TIMESTAMP '0001-01-01 00:00:00'",
    "timestamp_ntz": "TIMESTAMP_NTZ '0001-01-01 00:00:00'",
    "tinyint": "-128",
    "smallint": "-32768",
    "int": "-2147483648",
    "bigint": "-9223372036854775808",
    "float": "CAST('-Infinity' AS FLOAT)",
    "double": "CAST('-Infinity' AS DOUBLE)",
    "string": "''",
}


def _cast(expression: str, type_: str) -> str:
    return f"CAST({expression} AS {type_})"


WORDS = SinceWords(
    {"date": "DATE", "timestamp": "TIMESTAMP", "timestamp_ntz": "TIMESTAMP_NTZ"},
    lambda text, type_: _cast(literal(text), type_),
    _SMALLEST.get,
    literal,
    "STRING",
    _cast,
)
