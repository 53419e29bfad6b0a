"""The token rules that several dialects share. The others stand with their dialects."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import TokenType

from dagster_models.sql.rewriting.token_rewriter import TEXTS, Rule, TokenRewriter

_NUMBER = re.compile(r"0[oO](_?[0-7])+|(\d(_?\d)*)?(\.(\d(_?\d)*)?)?([eE][+-]?\d(_?\d)*)?")


def table_argument(rewriter: TokenRewriter, index: int) -> int:
    """`f(table t)`, `f(x => table(t))`: a table among a function's arguments."""
    if rewriter.kind(index) != TokenType.TABLE or not rewriter.in_call():
        return 0
    if rewriter.kind(index + 1) == TokenType.L_PAREN:
        end = rewriter.name_end(index + 2)
        if end > index + 2 and rewriter.kind(end) == TokenType.R_PAREN:
            rewriter.result.tables.add(rewriter.tokens[index + 2].start)
        return 0
    if rewriter.name_end(index + 1) > index + 1:
        rewriter.result.tables.add(rewriter.tokens[index + 1].start)
        return 1
    return 0


def identifier_function(rewriter: TokenRewriter, index: int) -> int:
    """`identifier('s.t')`: the call becomes the name."""
    if rewriter.word(index) != "identifier" or not is_call(rewriter, index):
        return 0
    taken = text_as_name(rewriter, index)
    if not taken and rewriter.kind(index - 1) in (TokenType.FROM, TokenType.JOIN):
        rewriter.result.unseen.append((rewriter.tokens[index].start, "identifier(...)"))
    return taken


def is_call(rewriter: TokenRewriter, index: int) -> bool:
    """Whether the word at *index* is a function's name: not quoted, with a parenthesis behind."""
    quoted = rewriter.kind(index) == TokenType.IDENTIFIER
    return not quoted and rewriter.kind(index + 1) == TokenType.L_PAREN


def text_as_name(rewriter: TokenRewriter, index: int) -> int:
    """A call at *index* whose one argument is the text of a name: the call becomes the name."""
    if rewriter.kind(index + 2) not in TEXTS or rewriter.kind(index + 3) != TokenType.R_PAREN:
        return 0
    name = rewriter.name_of(rewriter.tokens[index + 2].text)
    if name is None:
        return 0
    rewriter.emit_name(name, rewriter.tokens[index].start, rewriter.tokens[index + 3].end)
    return 4


def number(rewriter: TokenRewriter, index: int) -> int:
    """`1_000`, `0o17`: one number, several tokens to sqlglot."""
    if rewriter.kind(index) != TokenType.NUMBER:
        return 0
    token = rewriter.tokens[index]
    if token.end + 1 != next_start(rewriter, index):
        return 0
    found = _NUMBER.match(rewriter.text, token.start)
    ends = found.end() if found is not None else 0
    taken = several(rewriter, index, ends)
    if not taken:
        return 0
    rewriter.emit_at(TokenType.NUMBER, rewriter.text[token.start : ends], token.start)
    return taken


def several(rewriter: TokenRewriter, index: int, ends: int) -> int:
    """How many tokens from *index* on end before the offset *ends*; 0 if it is the only one."""
    taken = 1
    while index + taken < len(rewriter.tokens) and rewriter.tokens[index + taken].end < ends:
        taken += 1
    return taken if taken > 1 else 0


def next_start(rewriter: TokenRewriter, index: int) -> int:
    return rewriter.tokens[index + 1].start if index + 1 < len(rewriter.tokens) else -1


#: As TokenRules.at_words.
RULES_OF_ALL: Mapping[Rule, tuple[str, ...]] = {table_argument: ("table",)}
#: `select 1_000` is 1 called _000 to sqlglot, which refuses such a number elsewhere.
NUMBER_WORDS = ("_000", "0o")
