"""PostgreSQL's token rules: where its grammar is wider than sqlglot's."""

from __future__ import annotations

import re

from sqlglot import TokenType

from dagster_models.sql.dialects.dialect import lower
from dagster_models.sql.rewriting.named_tables import At, table_names
from dagster_models.sql.rewriting.token_rewriter import (
    TEXTS,
    TokenRewriter,
    TokenRules,
    token_like,
)
from dagster_models.sql.rewriting.token_rules import NUMBER_WORDS, next_start, number, several

_FROM = {TokenType.FROM, TokenType.JOIN, TokenType.COMMA}
#: An operator behind one of these has no left side.
_NO_OPERAND = {
    *(TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.COMMA, TokenType.SELECT),
    *(TokenType.DISTINCT, TokenType.WHERE, TokenType.HAVING, TokenType.ON, TokenType.AND),
    *(TokenType.OR, TokenType.NOT, TokenType.CASE, TokenType.WHEN, TokenType.THEN),
    *(TokenType.ELSE, TokenType.ORDER_BY, TokenType.GROUP_BY, TokenType.PARTITION_BY),
}
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+")
#: An operator of several characters ends in + or - only if it has one of these.
_SPECIAL = re.compile(r"[~!@#%^&|`?]")
_FORMS = {"nfc", "nfd", "nfkc", "nfkd"}
#: `box '(0,0,1,1)'`: types that sqlglot does not know before a text. (Of PostgreSQL 18's catalog
#: and of the extensions in wide use, each was asked. Not `path`: XMLTABLE has that word.)
_TYPES = (
    *("aclitem", "box", "cid", "cidr", "circle", "int2vector", "jsonpath", "line", "lseg"),
    *("macaddr", "macaddr8", "oidvector", "pg_lsn", "pg_snapshot", "polygon", "tid"),
    *("tsquery", "tsvector", "txid_snapshot", "varbit", "xid", "xid8", "citext", "ltree"),
    *("lquery", "ltxtquery", "cube", "seg", "box2d", "box3d", "raster", "halfvec", "sparsevec"),
)


def _only(rewriter: TokenRewriter, index: int) -> int:
    """`from only (t)`."""
    if rewriter.word(index) != "only" or rewriter.kind(index + 1) != TokenType.L_PAREN:
        return 0
    if rewriter.kind(index - 1) not in _FROM:
        return 0
    rewriter.result.fixed.add(rewriter.tokens[index + 2].start)
    return 1


def _escaped_name(rewriter: TokenRewriter, index: int) -> int:
    r"""`U&"d\0061t"`, and another escape character behind it: `U&"d!0061t" uescape '!'`."""
    touch = rewriter.touch(index, index + 1, TokenType.AMP)
    if rewriter.word(index) != "u" or not touch:
        return 0
    if not rewriter.touch(index + 1, index + 2, TokenType.IDENTIFIER):
        return 0
    other = rewriter.word(index + 3) == "uescape" and rewriter.kind(index + 4) in TEXTS
    taken = 5 if other else 3
    first, last = rewriter.tokens[index], rewriter.tokens[index + taken - 1]
    name = unescaped(rewriter.tokens[index + 2].text, last.text if other else "\\")
    token = token_like(first, TokenType.IDENTIFIER, name, first.start, last.end)
    rewriter.result.tokens.append(token)
    return taken


def unescaped(name: str, escape: str) -> str:
    """What the name of `U&"..."` is: `!0061` and `!+000061` are an `a`, `!!` is one `!`."""
    sign = re.escape(escape)
    found = re.compile(rf"{sign}(?:({sign})|\+([0-9a-fA-F]{{6}})|([0-9a-fA-F]{{4}}))")
    text = found.sub(lambda m: m[1] or chr(int(m[2] or m[3], 16)), name)
    # Two escapes may be the halves of one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _alias_of_using(rewriter: TokenRewriter, index: int) -> int:
    """`using (id) as j` names the joined columns."""
    closed = rewriter.closed
    if rewriter.kind(index) != TokenType.ALIAS or rewriter.kind(index - 1) != TokenType.R_PAREN:
        return 0
    if closed is None or closed.token_type != TokenType.USING:
        return 0
    name = rewriter.tokens[index + 1]
    quoted = name.token_type == TokenType.IDENTIFIER
    rewriter.result.joined.add(name.text if quoted else lower(name.text))
    return 2


def _operator_end(rewriter: TokenRewriter, index: int) -> int:
    """Where the operator ends that begins with the token. PostgreSQL takes all characters that one
    may have, as extensions have operators of their own (`<#>`, `~=`, `<<->`)."""
    start = rewriter.tokens[index].start
    found = _OPERATOR.match(rewriter.text, start)
    if found is None:
        return start
    run = re.split(r"--|/\*", found[0])[0]
    if not _SPECIAL.search(run):
        run = run[:1] + run[1:].rstrip("+-")
    return start + len(run)


def _operator(rewriter: TokenRewriter, index: int) -> int:
    """An operator that is several to sqlglot, also in `order by x using >`."""
    if rewriter.kind(index) == TokenType.USING:
        ends = _operator_end(rewriter, index + 1) if index + 1 < len(rewriter.tokens) else 0
        return several(rewriter, index, ends)
    token = rewriter.tokens[index]
    if token.end + 1 != next_start(rewriter, index) or token.token_type in TEXTS:
        return 0  # nearly every token
    taken = several(rewriter, index, _operator_end(rewriter, index))
    if not taken:
        return 0
    if rewriter.kind(index - 1) in _NO_OPERAND:
        rewriter.emit(token, (TokenType.TILDE, "~"))
    else:
        rewriter.emit(token, (TokenType.LT, "<"))
    return taken


def _typed_text(rewriter: TokenRewriter, index: int) -> int:
    """`box '(0,0,1,1)'` is `'(0,0,1,1)'::box`."""
    if rewriter.word(index) not in _TYPES or rewriter.kind(index + 1) not in TEXTS:
        return 0
    if rewriter.kind(index - 1) == TokenType.ALIAS or rewriter.kind(index - 1) == TokenType.DOT:
        return 0
    name, text = rewriter.tokens[index : index + 2]
    rewriter.result.tokens.append(text)
    rewriter.emit(name, (TokenType.DCOLON, "::"), (TokenType.VAR, name.text))
    return 2


def _is_normalized(rewriter: TokenRewriter, index: int) -> int:
    """`x is nfc normalized` reads no other tables than `x is null`."""
    form = rewriter.word(index) in _FORMS
    if rewriter.word(index + form) != "normalized":
        return 0
    before = (
        rewriter.word(index - 2) if rewriter.word(index - 1) == "not" else rewriter.word(index - 1)
    )
    if before != "is":
        return 0
    rewriter.emit(rewriter.tokens[index], (TokenType.NULL, "null"))
    return 1 + form


def _search_columns(rewriter: TokenRewriter, index: int) -> int:
    """`search depth first by a, b set x` and `cycle a, b set x`: sqlglot knows one column."""
    search = rewriter.word(index) == "by" and rewriter.word(index - 1) == "first"
    cycle = rewriter.word(index) == "cycle" and rewriter.kind(index - 1) not in (
        None,
        TokenType.DOT,
    )
    if not (search or cycle) or rewriter.kind(index + 2) != TokenType.COMMA:
        return 0
    end = index + 2
    while rewriter.kind(end) == TokenType.COMMA:
        end += 2
    if rewriter.word(end) != "set":
        return 0
    rewriter.result.tokens += rewriter.tokens[index : index + 2]
    return end - index


#: Functions that read what they are given the name, or the query, of as a text.
_READS = {
    **dict.fromkeys(
        ("table_to_xml", "table_to_xmlschema", "table_to_xml_and_xmlschema"),
        At(0, only_in_from=False),
    ),
    **dict.fromkeys(
        (
            *("query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema"),
            *("schema_to_xml", "schema_to_xml_and_xmlschema"),
            *("database_to_xml", "database_to_xml_and_xmlschema"),
        ),
        At(None, only_in_from=False),
    ),
}

POSTGRES_TOKENS = TokenRules(
    by_words={
        table_names(_READS): tuple(_READS),
        _only: ("only",),
        _alias_of_using: ("using",),
        number: NUMBER_WORDS,
        _escaped_name: ('u&"',),
        _is_normalized: ("normalized",),
    },
    wider=(number, _operator, _typed_text, _search_columns),
)
