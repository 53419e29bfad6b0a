"""BigQuery's token rules."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType

from dagster_models.sql.rewriting.token_rewriter import NAMES, TEXTS, TokenRewriter, TokenRules

#: A name with dashes, as BigQuery takes it without back-ticks.
_DASHED = re.compile(r"[^\W\d]\w*(-\w+)*(\.\w+(-\w+)*)*")

_READS = (TokenType.FROM, TokenType.JOIN)
_RAW_BYTES = ("rb", "br")


def _words(rewriter: TokenRewriter, index: int) -> int:
    """bytes in raw strings (rb'...'), and `proj.dataset`.table, whose back-ticks hold
    two of three parts: sqlglot knows it, but loses the places."""
    token = rewriter.tokens[index]
    following = rewriter.tokens[index + 1] if index + 1 < len(rewriter.tokens) else None
    if token.token_type == TokenType.VAR and token.text.lower() in _RAW_BYTES:
        touches = following is not None and following.start == token.end + 1
        return 1 if touches and rewriter.kind(index + 1) in TEXTS else 0
    if token.token_type != TokenType.IDENTIFIER or "." not in token.text:
        return 0
    if TokenType.DOT not in (rewriter.kind(index - 1), rewriter.kind(index + 1)):
        return 0
    parts = token.text.split(".")
    if not all(parts):
        return 0
    name: list[tuple[TokenType, str]] = []
    for part in parts:
        name += [(TokenType.DOT, "."), (TokenType.IDENTIFIER, part)]
    rewriter.emit_name(name[1:], token.start, token.end)
    return 1


def _dashes(rewriter: TokenRewriter, index: int) -> int:
    """`from my-project-1.data.table-2`, without back-ticks."""
    if rewriter.kind(index - 1) not in _READS:
        return 0
    start = rewriter.tokens[index].start
    found = _DASHED.match(rewriter.text, start)
    if found is None or "-" not in found[0]:
        return 0
    taken = 1
    while rewriter.tokens[index + taken - 1].end + 1 < found.end():
        taken += 1
    at = start
    for part in found[0].split("."):
        if at > start:
            rewriter.emit_at(TokenType.DOT, ".", at - 1)
        rewriter.emit_at(TokenType.VAR, part, at)
        at += len(part) + 1
    return taken


def _digits(rewriter: TokenRewriter, index: int) -> int:
    """in `data.2023_sales` the table's name begins with digits."""
    if rewriter.kind(index) != TokenType.NUMBER:
        return 0
    taken = 2 if rewriter.touch(index, index + 1, TokenType.VAR) else 1
    after_dot = (
        rewriter.touch(index - 2, index - 1, TokenType.DOT) and rewriter.kind(index - 2) in NAMES
    )
    after_from = rewriter.kind(index - 1) in _READS and taken == 2
    if not after_dot and not after_from:
        return 0  # `.5` is a dot and a number too
    token = rewriter.tokens[index]
    name = rewriter.text[token.start : rewriter.tokens[index + taken - 1].end + 1]
    rewriter.emit_at(TokenType.VAR, name, token.start)
    return taken


def _places(text: str, tokens: Sequence[Token]) -> Iterator[int]:
    """Where the rules above may find something: in nearly no text, though most have a dash and a
    digit."""
    before = None
    for index, token in enumerate(tokens):
        kind, reads = token.token_type, before in _READS
        if (
            kind == TokenType.IDENTIFIER
            or (kind == TokenType.NUMBER and (reads or before == TokenType.DOT))
            or (kind == TokenType.VAR and token.text.lower() in _RAW_BYTES)
            or (reads and (name := _DASHED.match(text, token.start)) and "-" in name[0])
        ):
            yield index
        before = kind


BIGQUERY_TOKENS = TokenRules(placed=(_words, _dashes, _digits), places=_places)
