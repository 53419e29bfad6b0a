"""BigQuery."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept, lower
from dagster_models.sql.dialects.later import value

BIGQUERY = Dialect(
    "bigquery",
    quotes="``",
    unquoted=kept,
    quoted=kept,
    alias=lower,
    system_tables_anywhere=frozenset({"__tables__", "__tables_summary__"}),
    remote_functions=frozenset({"external_query"}),
    joins_parts=True,
    array_paths=True,
    placeholder_marks="@",
    tokens=value("dialects.bigquery_tokens", "BIGQUERY_TOKENS"),
    recursive_ctes_in_any_order=True,
)
