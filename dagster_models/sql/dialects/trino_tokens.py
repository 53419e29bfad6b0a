"""Trino's token rules."""

from __future__ import annotations

from dagster_models.sql.rewriting.named_tables import At, table_names
from dagster_models.sql.rewriting.token_rewriter import TokenRules
from dagster_models.sql.rewriting.token_rules import NUMBER_WORDS, number

#: `table(system.table_changes('schema', 'table', 0))`
_CHANGES = table_names({"table_changes": At(None)})


TRINO_TOKENS = TokenRules({number: NUMBER_WORDS, _CHANGES: ("table_changes",)}, wider=(number,))
