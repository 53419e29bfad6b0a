"""Types of PostgreSQL, and which of its functions make several rows of one."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.trees import classes

#: A function that sqlglot does not know may return a set, as 89 of the catalog do, and one of the
#: user's own.
POSTGRES_MULTIPLIES = classes(exp.Explode, exp.Unnest, exp.GenerateSeries, exp.Anonymous)


_T = exp.DataType.Type
#: Types of which it is known that sqlglot takes each of their words for the same.
_SURE = frozenset(
    {
        *(_T.SMALLINT, _T.INT, _T.BIGINT, _T.DECIMAL, _T.BOOLEAN, _T.TEXT, _T.VARCHAR),
        *(_T.DATE, _T.TIMESTAMP, _T.TIMESTAMPTZ, _T.UUID, _T.JSON, _T.JSONB),
    }
)


def postgres_type_identity(node: exp.DataType) -> str:
    if node.this not in _SURE:
        return ""
    numbers = [item.name for item in node.expressions]
    if node.this == _T.DECIMAL and len(numbers) == 1:
        numbers.append("0")
    return f"{node.this.value}({','.join(numbers)})"


#: A type in whose place one of these stands holds all of its values.
_FOREIGN = {
    _T.TINYINT: "smallint",
    _T.UTINYINT: "smallint",
    _T.USMALLINT: "integer",
    _T.UINT: "bigint",
    **dict.fromkeys((_T.UBIGINT, _T.INT128, _T.UINT128), "numeric"),
    _T.FLOAT: "real",
    _T.DOUBLE: "double precision",
    **dict.fromkeys((_T.BLOB, _T.VARBINARY), "bytea"),
    _T.TIMESTAMP_S: "timestamp(0)",
    _T.TIMESTAMP_MS: "timestamp(3)",
    **dict.fromkeys((_T.TIMESTAMP_NS, _T.STRUCT, _T.MAP, _T.UNION, _T.ENUM), ""),
}


def postgres_foreign_type(type_: exp.DType) -> str | None:
    return _FOREIGN.get(type_)
