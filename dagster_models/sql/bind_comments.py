"""Literals that a comment binds to a variable: ``/*$since*/ timestamp '2020-01-01'``.

An editor runs the literal, and we replace it with the variable's value, so that a model's text runs
wherever it is pasted. Doma and other "2-way SQL" libraries have the same idiom. The comment stays
in the text that is sent; only the literal is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlglot import Token, TokenType

from dagster_models.sql.comments import comments_before
from dagster_models.sql.rewriting.token_rewriter import TEXTS

_COMMENT = re.compile(r"/\*\s*\$([^\W\d]\w*)\s*\*/")
_PLAIN = {TokenType.NUMBER, TokenType.NULL, TokenType.TRUE, TokenType.FALSE, *TEXTS}
_SIGNS = {TokenType.DASH, TokenType.PLUS}
#: The words before the text in ``timestamp with time zone '...'``.
_TYPED = re.compile(
    r"(date|time|timetz|timestamp|timestamptz|timestamp_\w+|datetime|interval"
    r"|time(stamp)? with(out)? time zone)",
    re.IGNORECASE,
)
_CLOSING = {TokenType.L_PAREN: TokenType.R_PAREN, TokenType.L_BRACKET: TokenType.R_BRACKET}
_UNIT = re.compile(r"(year|quarter|month|week|day|hour|minute|second)s?", re.IGNORECASE)


class Bound(NamedTuple):
    """A comment and the tokens of its literal: ``first`` to ``last``, both included. ``last`` is
    less than ``first`` if no literal follows the comment."""

    name: str
    start: int  #: where the comment begins in the text
    first: int
    last: int


def bind_comments(text: str, tokens: Sequence[Token]) -> Iterator[Bound]:
    """Yield each comment that binds, in the order of the text: the last one before a literal."""
    if not _COMMENT.search(text):  # nearly every text
        return
    for index, comments in comments_before(text, tokens):
        found = [_COMMENT.fullmatch(text, place.start, place.stop) for place in comments]
        binding = next(filter(None, reversed(found)), None)
        if binding is not None:
            end = _end_of_literal(text, tokens, index)
            yield Bound(binding[1], binding.start(), index, end - 1)


def _end_of_literal(text: str, tokens: Sequence[Token], index: int) -> int:
    """The index behind the literal that begins at *index*; *index* itself if none does."""
    if index >= len(tokens):
        return index
    kind = tokens[index].token_type
    if kind == TokenType.ARRAY and index + 1 < len(tokens):
        inner = _end_of_literal(text, tokens, index + 1)
        bracket = tokens[index + 1].token_type == TokenType.L_BRACKET
        return inner if bracket and inner > index + 1 else index
    if kind in _CLOSING:
        return _end_of_list(text, tokens, index)
    if kind in _SIGNS:
        after = index + 1
        number = after < len(tokens) and tokens[after].token_type == TokenType.NUMBER
        return after + 1 if number else index
    return index + 1 if kind in _PLAIN else _end_of_typed(text, tokens, index)


def _end_of_list(text: str, tokens: Sequence[Token], index: int) -> int:
    closing, at = _CLOSING[tokens[index].token_type], index + 1
    while (end := _end_of_literal(text, tokens, at)) > at and end < len(tokens):
        if tokens[end].token_type == closing:
            return end + 1
        if tokens[end].token_type != TokenType.COMMA:
            break
        at = end + 1
    return index


def _end_of_typed(text: str, tokens: Sequence[Token], index: int) -> int:
    for at in range(index + 1, min(index + 5, len(tokens))):
        if tokens[at].token_type in TEXTS:
            words = " ".join(text[tokens[index].start : tokens[at - 1].end + 1].split())
            if not _TYPED.fullmatch(words):
                return index
            unit = at + 1 < len(tokens) and words.lower() == "interval"
            return at + (2 if unit and _UNIT.fullmatch(tokens[at + 1].text) else 1)
    return index
