"""Snowflake."""

from __future__ import annotations

from dagster_models.sql.dialects.dialect import Dialect, kept, upper
from dagster_models.sql.rewriting.named_tables import one_list_of_values
from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules
from dagster_models.sql.rewriting.token_rules import identifier_function, is_call, text_as_name


def _table_function(rewriter: TokenRewriter, index: int) -> int:
    """`table('t')`: the call becomes the name."""
    if rewriter.word(index) != "table" or not is_call(rewriter, index):
        return 0
    return text_as_name(rewriter, index)


SNOWFLAKE = Dialect(
    "snowflake",
    unquoted=upper,
    quoted=kept,
    column=str.upper,
    columns_have_case=True,
    colon_paths=True,
    default_schema="PUBLIC",
    system_catalogs=frozenset({"snowflake"}),
    tokens=TokenRules(
        at_words={
            _table_function: ("table",),
            identifier_function: ("identifier",),
            one_list_of_values: ("values",),
        },
    ),
    always_recursive=True,
    second_half_recurs=True,
    values_column="column{number}",
)
