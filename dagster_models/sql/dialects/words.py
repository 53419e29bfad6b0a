"""What differs between SQL dialects and is plain data: case of names, system tables, placeholders.

Dialects are called by sqlglot's names. Sources: the warehouses' manuals; DuckDB 1.5 was asked
itself (``duckdb_views()`` and which of ``$a``, ``:a`` and ``@a`` it takes for a parameter).
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_UPPER = str.maketrans(ascii_lowercase, ascii_uppercase)

#: A quoted name is another name than the same one unquoted in another case.
_FOLDS_LOWER = {"postgres", "materialize", "risingwave"}
_FOLDS_UPPER = {"snowflake", "oracle", "exasol", "teradata"}
#: Table names are what their bytes are.
_SENSITIVE = {"bigquery", "mysql", "clickhouse", "doris", "starrocks", "singlestore"}

#: The names of CTEs and the aliases of tables have no case there, though tables do.
_ALIASES_FOLD = {"bigquery"}
#: The schema that is meant by `db..t`.
_DEFAULT_SCHEMAS = {"tsql": "dbo", "fabric": "dbo", "snowflake": "PUBLIC"}

_SYSTEM_SCHEMAS: dict[str, frozenset[str]] = {
    "duckdb": frozenset({"pg_catalog"}),
    "postgres": frozenset({"pg_catalog", "pg_toast"}),
    "redshift": frozenset({"pg_catalog", "pg_internal"}),
    "tsql": frozenset({"sys"}),
    "fabric": frozenset({"sys"}),
    "mysql": frozenset({"mysql", "sys", "performance_schema"}),
    "clickhouse": frozenset({"system"}),
    "oracle": frozenset({"sys"}),
}
_DUCKDB_TABLES = _words(
    "duckdb_columns duckdb_constraints duckdb_databases duckdb_dependencies duckdb_extensions"
    " duckdb_functions duckdb_indexes duckdb_keywords duckdb_logs duckdb_memory duckdb_optimizers"
    " duckdb_schemas duckdb_secrets duckdb_sequences duckdb_settings duckdb_tables"
    " duckdb_temporary_files duckdb_types duckdb_variables duckdb_views pragma_database_list"
    " sqlite_master sqlite_schema sqlite_temp_master sqlite_temp_schema"
)
_POSTGRES_TABLES = _words(
    "pg_aggregate pg_am pg_attrdef pg_attribute pg_authid pg_available_extensions pg_cast pg_class"
    " pg_collation pg_constraint pg_cursors pg_database pg_depend pg_description pg_enum"
    " pg_event_trigger pg_extension pg_foreign_data_wrapper pg_foreign_server pg_foreign_table"
    " pg_index pg_indexes pg_inherits pg_language pg_locks pg_matviews pg_namespace pg_opclass"
    " pg_operator pg_partitioned_table pg_policies pg_policy pg_prepared_statements pg_proc"
    " pg_publication pg_range pg_replication_slots pg_roles pg_rules pg_sequence pg_sequences"
    " pg_settings pg_shadow pg_stat_activity pg_stat_all_tables pg_stat_database"
    " pg_stat_statements pg_stat_user_indexes pg_stat_user_tables pg_statio_user_tables"
    " pg_statistic pg_stats pg_subscription pg_tables pg_tablespace pg_timezone_names pg_trigger"
    " pg_type pg_user pg_user_mapping pg_user_mappings pg_views"
)
#: The rest of PostgreSQL 18's catalog; DuckDB has none of these.
_MORE_POSTGRES_TABLES = _words(
    "pg_aios pg_amop pg_amproc pg_auth_members pg_available_extension_versions"
    " pg_backend_memory_contexts pg_config pg_conversion pg_db_role_setting pg_default_acl"
    " pg_file_settings pg_group pg_hba_file_rules pg_ident_file_mappings pg_init_privs"
    " pg_largeobject pg_largeobject_metadata pg_opfamily pg_parameter_acl pg_prepared_xacts"
    " pg_publication_namespace pg_publication_rel pg_publication_tables pg_replication_origin"
    " pg_replication_origin_status pg_rewrite pg_seclabel pg_seclabels pg_shdepend"
    " pg_shdescription pg_shmem_allocations pg_shmem_allocations_numa pg_shseclabel"
    " pg_stat_all_indexes pg_stat_archiver pg_stat_bgwriter pg_stat_checkpointer"
    " pg_stat_database_conflicts pg_stat_gssapi pg_stat_io pg_stat_progress_analyze"
    " pg_stat_progress_basebackup pg_stat_progress_cluster pg_stat_progress_copy"
    " pg_stat_progress_create_index pg_stat_progress_vacuum pg_stat_recovery_prefetch"
    " pg_stat_replication pg_stat_replication_slots pg_stat_slru pg_stat_ssl"
    " pg_stat_subscription pg_stat_subscription_stats pg_stat_sys_indexes pg_stat_sys_tables"
    " pg_stat_user_functions pg_stat_wal pg_stat_wal_receiver pg_stat_xact_all_tables"
    " pg_stat_xact_sys_tables pg_stat_xact_user_functions pg_stat_xact_user_tables"
    " pg_statio_all_indexes pg_statio_all_sequences pg_statio_all_tables pg_statio_sys_indexes"
    " pg_statio_sys_sequences pg_statio_sys_tables pg_statio_user_indexes"
    " pg_statio_user_sequences pg_statistic_ext pg_statistic_ext_data pg_stats_ext"
    " pg_stats_ext_exprs pg_subscription_rel pg_timezone_abbrevs pg_transform pg_ts_config"
    " pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template pg_wait_events"
)
#: Tables that are found without naming their schema.
_SYSTEM_TABLES: dict[str, frozenset[str]] = {
    "duckdb": _DUCKDB_TABLES | _POSTGRES_TABLES,
    "postgres": _POSTGRES_TABLES | _MORE_POSTGRES_TABLES,
    "redshift": _POSTGRES_TABLES | _MORE_POSTGRES_TABLES,
    "sqlite": frozenset({"sqlite_master", "sqlite_schema", "sqlite_temp_master"}),
    "mysql": frozenset({"dual"}),
    "oracle": frozenset({"dual"}),
}

#: Where the rules by which columns are found were measured on the warehouse itself: elsewhere an
#: unknown column is only worth a warning.
COLUMNS_MEASURED = frozenset({"duckdb"})

#: Two columns of a relation may differ in nothing but the case of their names.
COLUMNS_HAVE_CASE = frozenset({"postgres", "snowflake", "clickhouse"})

#: What Redshift's own tables begin with; with some that have no such beginning.
_REDSHIFT_TABLES = re.compile(
    r"(stv|stl|svv|svl|svcs)_|pg_table_def$|sys_(query|load|unload|copy|connection|external_query"
    r"|serverless|session|transaction|vacuum|analyze|procedure|stream|userlog|mv|integration)_"
)
#: Catalogs that hold nobody's models, where a name has three parts.
_SYSTEM_CATALOGS: dict[str, frozenset[str]] = {
    "snowflake": frozenset({"snowflake"}),
    "databricks": frozenset({"system"}),
    "trino": frozenset({"system"}),
    "presto": frozenset({"system"}),
    "tsql": frozenset({"master", "msdb", "tempdb", "model"}),
}

#: DuckDB and PostgreSQL take ``@x`` for the absolute value, DuckDB knows no ``:x``.
_SIGILS: dict[str, str] = {
    "duckdb": "$",
    "postgres": ":$",
    "bigquery": "@",
    "tsql": "@",
    "fabric": "@",
    "sqlite": ":$@",
    "clickhouse": "",
}

#: White space (measured: in no string, no quoted name), and letters to sqlglot.
_ZERO_WIDTH: dict[str, re.Pattern[str]] = {"duckdb": re.compile("[\u200b\u2060\ufeff]")}

_FILE_ENDING = re.compile(
    r"\.(csv|tsv|txt|parquet|json|jsonl|ndjson|geojson|xlsx|arrow|arrows|feather|avro|db|duckdb"
    r"|gpkg|shp)(\.(gz|zst|bz2|xz))?$",
    re.IGNORECASE,
)
_SPARK_FORMATS = {"parquet", "csv", "json", "delta", "orc", "text", "avro", "binaryfile", "iceberg"}


def fold(name: str, dialect: str, quoted: bool = False) -> str:
    """The name as the dialect compares it: two spellings of one table fold to the same string.

    Only ASCII letters change, as in PostgreSQL (UTF-8) and DuckDB: ``Étage`` and ``étage`` are two
    tables there.
    """
    if dialect in _SENSITIVE:
        return name
    if dialect in _FOLDS_LOWER:
        return name if quoted else name.translate(_LOWER)
    if dialect in _FOLDS_UPPER:
        return name if quoted else name.translate(_UPPER)
    return name.translate(_LOWER)


def fold_alias(folded: str, dialect: str) -> str:
    """A folded name as CTEs and the aliases of tables are compared."""
    return folded.translate(_LOWER) if dialect in _ALIASES_FOLD else folded


def default_schema(dialect: str) -> str:
    """The schema of `db..t`."""
    return _DEFAULT_SCHEMAS.get(dialect, "")


def keeps_case(dialect: str) -> bool:
    """Whether an unquoted name in another case is another name."""
    return dialect in _SENSITIVE


def sigils(dialect: str) -> str:
    """The characters that begin a named placeholder, e.g. "$" for duckdb."""
    return _SIGILS.get(dialect, ":")


def zero_width(dialect: str) -> re.Pattern[str] | None:
    """Characters of no width that the warehouse takes for white space."""
    return _ZERO_WIDTH.get(dialect)


def is_system(parts: tuple[str, ...], dialect: str) -> bool:
    """Whether the warehouse itself provides the table: a catalog view, never anybody's model."""
    lower = [part.lower() for part in parts]
    if dialect == "bigquery":  # sqlglot joins its INFORMATION_SCHEMA.TABLES into one part
        lower = ".".join(lower).split(".")
    if "information_schema" in lower[:-1]:
        return True
    if len(lower) == 3 and lower[0] in _SYSTEM_CATALOGS.get(dialect, ()):
        return True
    if dialect == "bigquery" and lower[-1] in ("__tables__", "__tables_summary__"):
        return True
    if dialect == "redshift" and len(lower) == 1 and _REDSHIFT_TABLES.match(lower[0]):
        return True
    if len(lower) > 1:
        if lower[-2] in _SYSTEM_SCHEMAS.get(dialect, ()):
            return True
        if dialect == "duckdb" and lower[-2] != "main":
            return False
    return lower[-1] in _SYSTEM_TABLES.get(dialect, ()) and (len(lower) == 1 or dialect == "duckdb")


def is_file(parts: tuple[str, ...], string: bool, quoted: bool, dialect: str) -> bool:
    """Whether the name in FROM is a file's, read by the warehouse without a function.

    ``string``: it is written in single quotes, which DuckDB allows for tables too.
    """
    name = parts[-1]
    if dialect == "duckdb" and len(parts) == 1 and quoted:
        looks = "/" in name or "*" in name or _FILE_ENDING.search(name) is not None
        return looks or (string and "." in name)
    if dialect in {"spark", "spark2", "databricks"}:
        return len(parts) == 2 and parts[0].lower() in _SPARK_FORMATS and "/" in name
    return False
