"""Trino and Presto."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.rewriting.named_tables import At, table_names
from dagster_models.sql.rewriting.token_rewriter import TokenRules
from dagster_models.sql.rewriting.token_rules import NUMBER_WORDS, number

#: `table(system.table_changes('schema', 'table', 0))`
_CHANGES = table_names({"table_changes": At(None)})

TRINO = Dialect(
    "trino",
    system_catalogs=frozenset({"system"}),
    remote_functions=frozenset({"query", "raw_query"}),  # of a connector
    tokens=TokenRules({number: NUMBER_WORDS, _CHANGES: ("table_changes",)}, wider=(number,)),
)
PRESTO = Dialect(
    "presto",
    system_catalogs=frozenset({"system"}),
    remote_functions=frozenset({"query", "raw_query"}),
)
