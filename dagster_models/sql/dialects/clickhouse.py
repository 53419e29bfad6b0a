"""ClickHouse."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept
from dagster_models.sql.dialects.later import value

CLICKHOUSE = Dialect(
    "clickhouse",
    unquoted=kept,
    quoted=kept,
    columns_have_case=True,
    system_schemas=frozenset({"system"}),
    remote_functions=frozenset({"postgresql", "mysql", "mongodb", "jdbc", "odbc"}),
    in_reads_tables=True,
    placeholder_marks="",
    tokens=value("dialects.clickhouse_tokens", "CLICKHOUSE_TOKENS"),
    ctes_are_values=True,
    ctes_in_any_order=True,  # measured with ClickHouse 26.9
)
