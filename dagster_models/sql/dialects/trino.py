"""Trino and Presto."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.rewriting.token_rewriter import TokenRules
from dagster_models.sql.rewriting.token_rules import NUMBER_WORDS, number

TRINO = Dialect(
    "trino",
    system_catalogs=frozenset({"system"}),
    tokens=TokenRules({number: NUMBER_WORDS}, wider=(number,)),
)
PRESTO = Dialect("presto", system_catalogs=frozenset({"system"}))
