"""PostgreSQL, and what calls itself compatible with it but for Redshift."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept
from dagster_models.sql.dialects.later import function, value
from dagster_models.sql.dialects.postgres_catalog import MORE_POSTGRES_TABLES, POSTGRES_TABLES

POSTGRES = Dialect(
    "postgres",
    quoted=kept,
    column=str.lower,
    columns_have_case=True,
    system_schemas=frozenset({"pg_catalog", "pg_toast"}),
    system_tables=POSTGRES_TABLES | MORE_POSTGRES_TABLES,
    remote_functions=frozenset({"dblink"}),
    placeholder_marks=":$",  # `@x` is the absolute value
    tokens=value("dialects.postgres_tokens", "POSTGRES_TOKENS"),
    empty_list="'{}'",  # an empty ARRAY[] would need the type of its elements
    reserved_words_of="duckdb",  # whose parser is made of PostgreSQL's
    insert_has_alias=True,
    recursive_ctes_in_any_order=True,
    implied_name=function("dialects.postgres_names", "postgres_name"),
    multiplies=value("dialects.postgres_types", "POSTGRES_MULTIPLIES"),
    star_behind_table=True,
    values_column="column{number}",
    type_identity=function("dialects.postgres_types", "postgres_type_identity"),
    foreign_type=function("dialects.postgres_types", "postgres_foreign_type"),
)
MATERIALIZE = Dialect("materialize", offered=False, quoted=kept)
RISINGWAVE = Dialect("risingwave", offered=False, quoted=kept)
