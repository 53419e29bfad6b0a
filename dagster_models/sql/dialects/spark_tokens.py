"""Spark's token rules."""

from __future__ import annotations

from sqlglot import TokenType

from dagster_models.sql.rewriting.named_tables import At, one_list_of_values, table_names
from dagster_models.sql.rewriting.token_rewriter import (
    NAMES,
    SET_WORDS,
    TokenRewriter,
    TokenRules,
)
from dagster_models.sql.rewriting.token_rules import identifier_function


def _table_statement(rewriter: TokenRewriter, index: int) -> int:
    """`table t` is a query."""
    if rewriter.kind(index) != TokenType.TABLE or rewriter.kind(index + 1) not in NAMES:
        return 0
    if index and rewriter.kind(index - 1) not in SET_WORDS:
        return 0
    words = (TokenType.SELECT, "select"), (TokenType.STAR, "*"), (TokenType.FROM, "from")
    rewriter.emit(rewriter.tokens[index], *words)
    rewriter.result.fixed.add(rewriter.tokens[index + 1].start)
    return 1


def _parameter(rewriter: TokenRewriter, index: int) -> int:
    """`from ${catalog}.t` is whatever the parameter holds."""
    names = rewriter.kind(index - 1) in (TokenType.FROM, TokenType.JOIN, TokenType.DOT)
    if names and rewriter.word(index) == "$" and rewriter.kind(index + 1) == TokenType.L_BRACE:
        rewriter.result.unseen.append((rewriter.tokens[index].start, "${...}"))
    return 0


SPARK_TOKENS = TokenRules(
    {
        identifier_function: ("identifier",),
        _table_statement: ("table",),
        _parameter: ("${",),
        one_list_of_values: ("values",),
        table_names({"table_changes": At(0)}): ("table_changes",),
    }
)
