"""MySQL's token rules."""

from __future__ import annotations

from sqlglot import TokenType

from dagster_models.sql.rewriting.token_rewriter import TokenRewriter, TokenRules

#: What MySQL allows behind SELECT, in any order, also before DISTINCT.
_MODIFIERS = {
    *("straight_join", "high_priority", "sql_cache", "sql_no_cache", "sql_calc_found_rows"),
    *("sql_small_result", "sql_big_result", "sql_buffer_result"),
}


def _words(rewriter: TokenRewriter, index: int) -> int:
    """`select straight_join ...` and ODBC's `{ oj a left outer join b }`."""
    if rewriter.word(index) in _MODIFIERS:
        before = (
            rewriter.kind(index - 1) == TokenType.SELECT or rewriter.word(index - 1) in _MODIFIERS
        )
        return 1 if before else 0
    if rewriter.kind(index) == TokenType.L_BRACE and rewriter.word(index + 1) == "oj":
        rewriter.braces += 1
        rewriter.emit(rewriter.tokens[index], (TokenType.L_PAREN, "("))
        return 2
    if rewriter.kind(index) == TokenType.R_BRACE and rewriter.braces:
        rewriter.braces -= 1
        rewriter.emit(rewriter.tokens[index], (TokenType.R_PAREN, ")"))
        return 1
    return 0


MYSQL_TOKENS = TokenRules({_words: (*_MODIFIERS, "oj")})
