"""As token_rules.py, for PostgreSQL: where its grammar is wider than sqlglot's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot.tokenizer_core import TokenType

from dagster_models.sql.dialects.words import fold
from dagster_models.sql.rewriting.token_rewriter import TEXTS, Rule, Work

_FROM = {TokenType.FROM, TokenType.JOIN, TokenType.COMMA}
#: Behind these an operator has no left side.
_NO_OPERAND = {
    *(TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.COMMA, TokenType.SELECT),
    *(TokenType.DISTINCT, TokenType.WHERE, TokenType.HAVING, TokenType.ON, TokenType.AND),
    *(TokenType.OR, TokenType.NOT, TokenType.CASE, TokenType.WHEN, TokenType.THEN),
    *(TokenType.ELSE, TokenType.ORDER_BY, TokenType.GROUP_BY, TokenType.PARTITION_BY),
}
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
#: An operator of several characters ends in + or - only if it has one of these.
_SPECIAL = re.compile(r"[~!@#%^&|`?]")
_NUMBER = re.compile(r"0[oO](_?[0-7])+|(\d(_?\d)*)?(\.(\d(_?\d)*)?)?([eE][+-]?\d(_?\d)*)?")
_FORMS = {"nfc", "nfd", "nfkc", "nfkd"}
#: `box '(0,0,1,1)'`: types that sqlglot does not know before a text. (Of PostgreSQL 18's catalog
#: and of the extensions in wide use, each was asked. Not `path`: XMLTABLE has that word.)
_TYPES = (
    *("aclitem", "box", "cid", "cidr", "circle", "int2vector", "jsonpath", "line", "lseg"),
    *("macaddr", "macaddr8", "oidvector", "pg_lsn", "pg_snapshot", "polygon", "tid"),
    *("tsquery", "tsvector", "txid_snapshot", "varbit", "xid", "xid8", "citext", "ltree"),
    *("lquery", "ltxtquery", "cube", "seg", "box2d", "box3d", "raster", "halfvec", "sparsevec"),
)


def _only(work: Work, index: int) -> int:
    """`from only (t)`."""
    if work.word(index) != "only" or work.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if work.kind(index - 1) not in _FROM:
        return 0
    work.result.fixed.add(work.tokens[index + 2].start)
    return 1


def _alias_of_using(work: Work, index: int) -> int:
    """`using (id) as j` names the joined columns."""
    closed = work.closed
    if work.kind(index) != TokenType.ALIAS or work.kind(index - 1) != TokenType.R_PAREN:
        return 0
    if closed is None or closed.token_type != TokenType.USING:
        return 0
    name = work.tokens[index + 1]
    quoted = name.token_type == TokenType.IDENTIFIER
    work.result.joined.add(fold(name.text, work.dialect, quoted))
    return 2


def _operator_end(work: Work, index: int) -> int:
    """Where the operator ends that begins with the token: PostgreSQL takes all the characters that
    one may have, and extensions have operators of their own (`<#>`, `~=`, `<<->`)."""
    start = work.tokens[index].start
    found = _OPERATOR.match(work.text, start)
    if found is None:
        return start
    run = re.split(r"--|/\*", found[0])[0]
    if not _SPECIAL.search(run):
        run = run[:1] + run[1:].rstrip("+-")
    return start + len(run)


def _operator(work: Work, index: int) -> int:
    """An operator that is several to sqlglot; `order by x using >` has one that orders."""
    if work.kind(index) == TokenType.USING:
        ends = _operator_end(work, index + 1) if index + 1 < len(work.tokens) else 0
        return _several(work, index, ends)
    token = work.tokens[index]
    if token.end + 1 != _next_start(work, index) or token.token_type in TEXTS:
        return 0  # nearly every token
    taken = _several(work, index, _operator_end(work, index))
    if not taken:
        return 0
    if work.kind(index - 1) in _NO_OPERAND:
        work.emit(token, (TokenType.TILDE, "~"))
    else:
        work.emit(token, (TokenType.LT, "<"))
    return taken


def _several(work: Work, index: int, ends: int) -> int:
    """How many tokens from *index* on end before the offset *ends*; 0 if it is the only one."""
    taken = 1
    while index + taken < len(work.tokens) and work.tokens[index + taken].end < ends:
        taken += 1
    return taken if taken > 1 else 0


def _next_start(work: Work, index: int) -> int:
    return work.tokens[index + 1].start if index + 1 < len(work.tokens) else -1


def number(work: Work, index: int) -> int:
    """`1_000`, `0o17`."""
    if work.kind(index) != TokenType.NUMBER:
        return 0
    token = work.tokens[index]
    if token.end + 1 != _next_start(work, index):
        return 0
    found = _NUMBER.match(work.text, token.start)
    ends = found.end() if found is not None else 0
    taken = _several(work, index, ends)
    if not taken:
        return 0
    work.emit_at(TokenType.NUMBER, work.text[token.start : ends], token.start)
    return taken


def _typed_text(work: Work, index: int) -> int:
    """`box '(0,0,1,1)'` is `'(0,0,1,1)'::box`."""
    if work.word(index) not in _TYPES or work.kind(index + 1) not in TEXTS:
        return 0
    if work.kind(index - 1) == TokenType.ALIAS or work.kind(index - 1) == TokenType.DOT:
        return 0
    name, text = work.tokens[index : index + 2]
    work.result.tokens.append(text)
    work.emit(name, (TokenType.DCOLON, "::"), (TokenType.VAR, name.text))
    return 2


def _is_normalized(work: Work, index: int) -> int:
    """`x is nfc normalized`, which asks no more of tables than `x is null`."""
    form = work.word(index) in _FORMS
    if work.word(index + form) != "normalized":
        return 0
    before = work.word(index - 2) if work.word(index - 1) == "not" else work.word(index - 1)
    if before != "is":
        return 0
    work.emit(work.tokens[index], (TokenType.NULL, "null"))
    return 1 + form


def _search_columns(work: Work, index: int) -> int:
    """`search depth first by a, b set x` and `cycle a, b set x`: sqlglot knows one column."""
    search = work.word(index) == "by" and work.word(index - 1) == "first"
    cycle = work.word(index) == "cycle" and work.kind(index - 1) not in (None, TokenType.DOT)
    if not (search or cycle) or work.kind(index + 2) != TokenType.COMMA:
        return 0
    end = index + 2
    while work.kind(end) == TokenType.COMMA:
        end += 2
    if work.word(end) != "set":
        return 0
    work.result.tokens += work.tokens[index : index + 2]
    return end - index


#: A rule can only apply to a text that holds one of these, in lower case.
POSTGRES_WORDS: Mapping[Rule, tuple[str, ...]] = {
    _only: ("only",),
    _alias_of_using: ("using",),
    number: ("_000", "0o"),  # `select 1_000` is 1 called _000 to sqlglot; elsewhere it is refused
    _is_normalized: ("normalized",),
}
#: Those for what sqlglot's parser refuses, and takes for nothing else.
POSTGRES_WIDER: tuple[Rule, ...] = (number, _operator, _typed_text, _search_columns)
