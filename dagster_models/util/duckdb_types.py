"""DuckDB's types on their way to Arrow: which arrive as they are, and what is done with the rest.

DuckDB writes some types as others that do not hold their values, without an error: UHUGEINT wraps
around, a time loses its zone, bits become DuckDB's own bytes. Here such columns are cast first.
"""

from __future__ import annotations

from typing import Any

#: The ids of types whose values Arrow has.
_KEPT = frozenset(
    {
        *("boolean", "tinyint", "smallint", "integer", "bigint", "float", "double", "decimal"),
        *("utinyint", "usmallint", "uinteger", "ubigint", "varchar", "blob", "uuid", "enum"),
        *("date", "time", "time_ns", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"),
        *("timestamp with time zone", "interval", "geometry", "null", '"null"', "sqlnull"),
    }
)
#: What the others are cast to: an error of DuckDB where a value does not fit, or text.
_CAST = {
    "hugeint": "DECIMAL(38,0)",
    "uhugeint": "DECIMAL(38,0)",
    "bignum": "VARCHAR",
    "bit": "VARCHAR",
    "time with time zone": "VARCHAR",
}
_NESTED = ("list", "array", "struct", "map", "union")
#: Arrow counts an interval's hours in nanoseconds of 64 bits; DuckDB wraps around past them.
_INTERVAL = (
    "CASE WHEN {value} IS NULL OR extract(hour FROM {value}) BETWEEN -2562046 AND 2562046"
    " THEN {value} ELSE error('column {name}: ' || {value} ||"
    " ' has more hours than Arrow can hold: cast it to varchar') END"
)


def exact(relation: Any) -> Any:
    """A DuckDB relation with each column in a type that Arrow has, and the same values.

    Raises ValueError, which names the column, for a type of which that is not known.
    """
    listed, changed = [], False
    for at, (name, type_) in enumerate(zip(relation.columns, relation.types, strict=True), 1):
        try:
            cast = arrow_type(type_)
        except ValueError as error:
            raise ValueError(f"column {name!r} {error}") from error
        value = f"#{at}"
        if cast != str(type_):
            value = f"CAST(#{at} AS {cast})"
        elif cast == "INTERVAL":
            value = _INTERVAL.format(value=value, name=name.replace("'", "''"))
        listed.append(f"{value} AS {_quoted(name)}")
        changed = changed or value != f"#{at}"
    return relation.project(", ".join(listed)) if changed else relation


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def arrow_type(type_: Any) -> str:
    """The type to cast to, as SQL: the type's own text where its values arrive as they are."""
    kind = str(type_.id).lower()
    if kind in _KEPT:
        return str(type_)
    if kind in _CAST:
        return _CAST[kind]
    if kind in _NESTED:
        of = dict(type_.children)
        size = of.pop("size", "")
        of.pop("", None)  # the tag of a union
        parts = {name: arrow_type(child) for name, child in of.items()}
        if all(cast == str(of[name]) for name, cast in parts.items()):
            return str(type_)
        if kind in ("list", "array"):
            return f"{parts['child']}[{size}]"
        if kind == "map":
            return f"MAP({parts['key']}, {parts['value']})"
        if kind == "struct":
            return f"STRUCT({', '.join(f'{_quoted(name)} {cast}' for name, cast in parts.items())})"
    raise ValueError(f"is of the type {type_}, which Arrow cannot hold: cast it, e.g. to varchar")
