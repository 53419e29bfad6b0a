"""Types as the warehouse's own words, e.g. ``DECIMAL(10,2)``, ``INTEGER[]``; "" is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlglot import exp

_T = exp.DataType.Type
_DUCKDB_NAMES = {
    _T.TINYINT: "TINYINT",
    _T.SMALLINT: "SMALLINT",
    _T.INT: "INTEGER",
    _T.BIGINT: "BIGINT",
    _T.INT128: "HUGEINT",
    _T.UTINYINT: "UTINYINT",
    _T.USMALLINT: "USMALLINT",
    _T.UINT: "UINTEGER",
    _T.UBIGINT: "UBIGINT",
    _T.UINT128: "UHUGEINT",
    _T.FLOAT: "FLOAT",
    _T.DOUBLE: "DOUBLE",
    _T.BOOLEAN: "BOOLEAN",
    _T.UUID: "UUID",
    _T.TEXT: "VARCHAR",
    _T.VARCHAR: "VARCHAR",
    _T.CHAR: "VARCHAR",
    _T.BPCHAR: "VARCHAR",
    _T.DATE: "DATE",
    _T.TIME: "TIME",
    _T.TIMESTAMP: "TIMESTAMP",
    _T.INTERVAL: "INTERVAL",
    _T.TIMESTAMPNTZ: "TIMESTAMP",
    _T.DATETIME: "TIMESTAMP",
    _T.JSON: "JSON",
    _T.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
    _T.VARBINARY: "BLOB",
    _T.BLOB: "BLOB",
}
WIDTH = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
REAL = {"FLOAT", "DOUBLE"}
STAMPS = {"TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
#: Whole numbers as written take the type of what they meet, where they fit: always (0 to 127), or
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


def type_name(node: exp.Expr, dialect: str) -> str:
    """The warehouse's word for a type as written in a cast or a declaration; "" if not sure."""
    if not isinstance(node, exp.DataType):
        return ""
    if dialect != "duckdb":
        return node.sql(dialect).upper()
    return _duckdb_name(node)


def declared_type(text: str, dialect: str) -> str:
    """A type that was declared in YAML, in the warehouse's word; as written if it is unknown."""
    if dialect != "duckdb" or not text:
        return text
    try:
        return _duckdb_name(exp.DataType.build(text, dialect=dialect)) or text
    except Exception:  # sqlglot raises many kinds; a type it does not know is still a type
        return text


def _duckdb_name(node: exp.DataType) -> str:
    kind = node.this
    if kind in _DUCKDB_NAMES:
        return _DUCKDB_NAMES[kind]
    inner = list(node.expressions)
    if kind == _T.DECIMAL:
        numbers = [item.name for item in inner]
        if not numbers:
            return "DECIMAL(18,3)"
        return f"DECIMAL({numbers[0]},{numbers[1] if len(numbers) > 1 else 0})"
    if kind in (_T.LIST, _T.ARRAY) and len(inner) == 1 and isinstance(inner[0], exp.DataType):
        of = _duckdb_name(inner[0])
        return f"{of}[]" if of and not node.args.get("values") else ""
    if kind == _T.STRUCT:
        fields = [_field(item) for item in inner]
        return f"STRUCT({', '.join(fields)})" if fields and all(fields) else ""
    if kind == _T.MAP and len(inner) == 2:
        pair = [_duckdb_name(item) if isinstance(item, exp.DataType) else "" for item in inner]
        return f"MAP({', '.join(pair)})" if all(pair) else ""
    return ""


def _field(node: exp.Expr) -> str:
    if not isinstance(node, exp.ColumnDef) or not isinstance(node.args.get("kind"), exp.DataType):
        return ""
    type_ = _duckdb_name(node.args["kind"])
    name = node.name
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None
    return f"{name} {type_}" if type_ and plain else ""


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
    """What a list holds; "" for what is no list."""
    return type_[:-2] if type_.endswith("[]") else ""


def settled(type_: str) -> str:
    """The type that a column gets: a literal that met nothing is an INTEGER."""
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
    """The digits of a number in all, and behind the point; None for what has no fixed ones."""
    if type_ in _DIGITS:
        return _DIGITS[type_], 0
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_)
    return (int(found[1]), int(found[2])) if found else None
