"""DuckDB's own words for types."""

from __future__ import annotations

import re

from sqlglot import exp

_T = exp.DataType.Type
_WORDS = {
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


def duckdb_type_word(node: exp.DataType) -> str:
    kind = node.this
    if kind in _WORDS:
        return _WORDS[kind]
    inner = list(node.expressions)
    if kind == _T.DECIMAL:
        numbers = [item.name for item in inner]
        if not numbers:
            return "DECIMAL(18,3)"
        return f"DECIMAL({numbers[0]},{numbers[1] if len(numbers) > 1 else 0})"
    if kind in (_T.LIST, _T.ARRAY) and len(inner) == 1 and isinstance(inner[0], exp.DataType):
        of = duckdb_type_word(inner[0])
        return f"{of}[]" if of and not node.args.get("values") else ""
    if kind == _T.STRUCT:
        fields = [_field(item) for item in inner]
        return f"STRUCT({', '.join(fields)})" if fields and all(fields) else ""
    if kind == _T.MAP and len(inner) == 2:
        pair = [duckdb_type_word(item) if isinstance(item, exp.DataType) else "" for item in inner]
        return f"MAP({', '.join(pair)})" if all(pair) else ""
    return ""


def _field(node: exp.Expr) -> str:
    if not isinstance(node, exp.ColumnDef) or not isinstance(node.args.get("kind"), exp.DataType):
        return ""
    type_ = duckdb_type_word(node.args["kind"])
    name = node.name
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None
    return f"{name} {type_}" if type_ and plain else ""
