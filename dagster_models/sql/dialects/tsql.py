"""T-SQL: SQL Server, and Microsoft Fabric."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.later import value

TSQL = Dialect(
    "tsql",
    quotes="[]",
    default_schema="dbo",
    keys_in_result=True,
    system_schemas=frozenset({"sys"}),
    system_catalogs=frozenset({"master", "msdb", "tempdb", "model"}),
    remote_functions=frozenset({"openquery", "openrowset"}),
    placeholder_marks="@",
    tokens=value("dialects.tsql_tokens", "TSQL_TOKENS"),
    always_recursive=True,
    second_half_recurs=True,
    methods=True,
)
FABRIC = Dialect(
    "fabric",
    quotes="[]",
    offered=False,
    remote_functions=frozenset({"openquery", "openrowset"}),
    default_schema="dbo",
    keys_in_result=True,
    system_schemas=frozenset({"sys"}),
    placeholder_marks="@",
    always_recursive=True,
    second_half_recurs=True,
)
