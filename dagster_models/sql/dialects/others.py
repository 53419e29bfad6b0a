"""Dialects with few differences of their own that are known."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept, upper

ATHENA = Dialect("athena")
EXASOL = Dialect("exasol", offered=False, unquoted=upper, quoted=kept)
HIVE = Dialect("hive", quotes="``")
ORACLE = Dialect(
    "oracle",
    unquoted=upper,
    quoted=kept,
    system_schemas=frozenset({"sys"}),
    system_tables=frozenset({"dual"}),
    always_recursive=True,
    second_half_recurs=True,
)
SQLITE = Dialect(
    "sqlite",
    system_tables=frozenset({"sqlite_master", "sqlite_schema", "sqlite_temp_master"}),
    placeholder_marks=":@",  # sqlglot takes `$x` for a word
)
TERADATA = Dialect("teradata", offered=False, unquoted=upper, quoted=kept)
