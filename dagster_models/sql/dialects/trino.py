"""Trino and Presto."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.later import value

TRINO = Dialect(
    "trino",
    system_catalogs=frozenset({"system"}),
    remote_functions=frozenset({"query", "raw_query"}),  # of a connector
    tokens=value("dialects.trino_tokens", "TRINO_TOKENS"),
)
PRESTO = Dialect(
    "presto",
    system_catalogs=frozenset({"system"}),
    remote_functions=frozenset({"query", "raw_query"}),
)
