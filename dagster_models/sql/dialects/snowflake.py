"""Snowflake."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept, upper
from dagster_models.sql.dialects.later import value

SNOWFLAKE = Dialect(
    "snowflake",
    unquoted=upper,
    quoted=kept,
    column=str.upper,
    columns_have_case=True,
    colon_paths=True,
    default_schema="PUBLIC",
    system_catalogs=frozenset({"snowflake"}),
    tokens=value("dialects.snowflake_tokens", "SNOWFLAKE_TOKENS"),
    always_recursive=True,
    second_half_recurs=True,
    values_column="column{number}",
)
