"""ClickHouse."""

from __future__ import annotations

from sqlglot.tokenizer_core import TokenType

from dagster_models.sql.dialects.dialect import Dialect, kept
from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules


def _null_function(rewriter: TokenRewriter, index: int) -> int:
    """`null('x Int')` is a table function."""
    if rewriter.kind(index) != TokenType.NULL or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    rewriter.emit(rewriter.tokens[index], (TokenType.VAR, "null"))
    return 1


CLICKHOUSE = Dialect(
    "clickhouse",
    unquoted=kept,
    quoted=kept,
    columns_have_case=True,
    system_schemas=frozenset({"system"}),
    table_arguments={"cluster": 1, "clusterallreplicas": 1},
    in_reads_tables=True,
    placeholder_marks="",
    tokens=TokenRules({_null_function: ("null",)}),
    ctes_in_any_order=True,  # measured with ClickHouse 26.9
)
