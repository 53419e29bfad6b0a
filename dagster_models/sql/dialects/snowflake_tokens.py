"""Snowflake's token rules."""

from __future__ import annotations

from dagster_models.sql.rewriting.named_tables import one_list_of_values
from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules
from dagster_models.sql.rewriting.token_rules import identifier_function, is_call, text_as_name


def _table_function(rewriter: TokenRewriter, index: int) -> int:
    """`table('t')`: the call becomes the name."""
    if rewriter.word(index) != "table" or not is_call(rewriter, index):
        return 0
    return text_as_name(rewriter, index)


SNOWFLAKE_TOKENS = TokenRules(
    at_words={
        _table_function: ("table",),
        identifier_function: ("identifier",),
        one_list_of_values: ("values",),
    },
)
