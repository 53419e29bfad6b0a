"""DuckDB. Its rules were measured: DuckDB 1.5 was asked what it does."""

from __future__ import annotations

import re

from dagster_models.sql.dialects.dialect import Dialect, words
from dagster_models.sql.dialects.later import function, value
from dagster_models.sql.dialects.postgres_catalog import POSTGRES_TABLES

#: ``duckdb_views()`` names them.
_TABLES = words(
    "duckdb_columns duckdb_constraints duckdb_databases duckdb_dependencies duckdb_extensions"
    " duckdb_functions duckdb_indexes duckdb_keywords duckdb_logs duckdb_memory duckdb_optimizers"
    " duckdb_schemas duckdb_secrets duckdb_sequences duckdb_settings duckdb_tables"
    " duckdb_temporary_files duckdb_types duckdb_variables duckdb_views pragma_database_list"
    " sqlite_master sqlite_schema sqlite_temp_master sqlite_temp_schema"
)
_FILE_ENDING = re.compile(
    r"\.(csv|tsv|txt|parquet|json|jsonl|ndjson|geojson|xlsx|arrow|arrows|feather|avro|db|duckdb"
    r"|gpkg|shp)(\.(gz|zst|bz2|xz))?$",
    re.IGNORECASE,
)


def _is_file(parts: tuple[str, ...], in_string: bool, quoted: bool) -> bool:
    """`from 'a.csv'`. Single quotes may be around a table's name too."""
    name = parts[-1]
    if len(parts) > 1 or not quoted:
        return False
    looks = "/" in name or "*" in name or _FILE_ENDING.search(name) is not None
    return looks or (in_string and "." in name)


DUCKDB = Dialect(
    "duckdb",
    columns_measured=True,
    system_schemas=frozenset({"pg_catalog"}),
    system_tables=_TABLES | POSTGRES_TABLES,
    system_tables_home="main",
    is_file=_is_file,
    remote_functions=words("postgres_query postgres_scan mysql_query mysql_scan sqlite_scan"),
    # `@x` is the absolute value, and `:x` is unknown.
    placeholder_marks="$",
    # White space outside of strings and quoted names, and letters to sqlglot.
    zero_width=re.compile("[\u200b\u2060\ufeff]"),
    nul_character="chr(0)",
    nested_literals=True,
    tokens=value("dialects.duckdb_tokens", "DUCKDB_TOKENS"),
    arrays_follow_in=True,
    star_behind_table=True,
    insert_has_alias=True,
    second_half_recurs=True,
    implied_name=function("dialects.duckdb_names", "duckdb_name"),
    spelled_by_relation=True,
    numbers_columns=True,
    values_column="col{index}",
    using_first=False,
    using_type_is_left=True,
    series_column=True,
    methods=True,
    unnest_spreads=True,
    unpivot_type="VARCHAR",
    plain_types=words(
        "BIGINT BLOB BOOLEAN DATE DOUBLE FLOAT HUGEINT INTEGER INTERVAL JSON SMALLINT TIME"
        " TIMESTAMP TINYINT UBIGINT UHUGEINT UINTEGER USMALLINT UTINYINT UUID VARCHAR"
    ),
    type_word=function("dialects.duckdb_types", "duckdb_type_word"),
    type_identity=function("dialects.duckdb_types", "duckdb_type_word"),
    expression_type=function("dialects.duckdb_expression_types", "duckdb_expression_type"),
)
