"""PostgreSQL, and what calls itself compatible with it but for Redshift."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Dialect, classes, kept
from dagster_models.sql.dialects.postgres_catalog import MORE_POSTGRES_TABLES, POSTGRES_TABLES
from dagster_models.sql.dialects.postgres_names import postgres_name
from dagster_models.sql.dialects.postgres_tokens import POSTGRES_TOKENS

#: A function that sqlglot does not know may return a set, as 89 of the catalog do, and one of the
#: user's own.
_MULTIPLIES = classes(exp.Explode, exp.Unnest, exp.GenerateSeries, exp.Anonymous)


_T = exp.DataType.Type
#: Types of which it is known that sqlglot takes each of their words for the same.
_SURE = frozenset(
    {
        *(_T.SMALLINT, _T.INT, _T.BIGINT, _T.DECIMAL, _T.BOOLEAN, _T.TEXT, _T.VARCHAR),
        *(_T.DATE, _T.TIMESTAMP, _T.TIMESTAMPTZ, _T.UUID, _T.JSON, _T.JSONB),
    }
)


def _type_identity(node: exp.DataType) -> str:
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

POSTGRES = Dialect(
    "postgres",
    quoted=kept,
    column=str.lower,
    columns_have_case=True,
    system_schemas=frozenset({"pg_catalog", "pg_toast"}),
    system_tables=POSTGRES_TABLES | MORE_POSTGRES_TABLES,
    remote_functions=frozenset({"dblink"}),
    placeholder_marks=":$",  # `@x` is the absolute value
    tokens=POSTGRES_TOKENS,
    empty_list="'{}'",  # an empty ARRAY[] would need the type of its elements
    reserved_words_of="duckdb",  # whose parser is made of PostgreSQL's
    insert_has_alias=True,
    recursive_ctes_in_any_order=True,
    implied_name=postgres_name,
    multiplies=_MULTIPLIES,
    star_behind_table=True,
    values_column="column{number}",
    type_identity=_type_identity,
    foreign_type=_FOREIGN.get,
)
MATERIALIZE = Dialect("materialize", offered=False, quoted=kept)
RISINGWAVE = Dialect("risingwave", offered=False, quoted=kept)
