"""A query that the parser cannot read: what its tokens alone say, which is little and safe.

With ``unreadable_sql: warn`` such a model is loaded all the same. It depends on what its header
names in ``upstream:``. A name behind FROM or JOIN that means something in the project is one more
dependency and is replaced, unless it may be the name of a CTE or a function, or an alias: a name
that the warehouse does not find is better than a text with another meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType

from dagster_models.core.model import Reference
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.tokens import TokenizedText, second_statement

_BEGINS = {TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.L_PAREN, TokenType.VALUES}
_NAMES = {TokenType.VAR, TokenType.IDENTIFIER}


def read_tokens(text: str, dialect: str) -> ParsedSql:
    """What the tokens of a query say. Raises SqlSyntaxError where they are not those of one query:
    for another statement, a second one, or a string that is not closed."""
    source = TokenizedText(text, dialect)
    if not source.tokens or source.tokens[0].token_type not in _BEGINS:
        raise source.error("it does not begin as a query does", 0, "Write a SELECT.")
    if second := second_statement(source):
        fix = "A model is one query: move the other statement to a file of its own."
        raise source.error("a second statement begins here", second, fix)
    return ParsedSql(
        references=tuple(_references(source)),
        qualifiers=(),
        placeholders=tuple(source.placeholders()),
        normalized=source.normalized(_words(source)),
        opaque=True,
        semicolons=source.trailing_semicolons(),
    )


def _words(source: TokenizedText) -> Iterator[int]:
    """The words whose case may be contents, as far as anybody knows."""
    if source.dialect.columns_keep_case:
        yield from (i for i, t in enumerate(source.tokens) if t.token_type == TokenType.VAR)


def _references(source: TokenizedText) -> Iterator[Reference]:
    tokens, dialect = source.tokens, source.dialect
    ctes = set(_ctes(source))
    queries: list[
        bool
    ] = []  # for each open parenthesis: does it hold a query, or a list of tables?
    for index, token in enumerate(tokens):
        kind = token.token_type
        if kind == TokenType.L_PAREN:
            first = tokens[index + 1].token_type if index + 1 < len(tokens) else None
            before = tokens[index - 1].token_type if index else None
            queries.append(first in _BEGINS or before in (TokenType.FROM, TokenType.JOIN))
        elif kind == TokenType.R_PAREN and queries:
            queries.pop()
        if kind not in (TokenType.FROM, TokenType.JOIN) or (queries and not queries[-1]):
            continue  # `extract(year from day)`
        if index and tokens[index - 1].token_type == TokenType.DISTINCT:
            continue  # `is distinct from x`
        name = _name(tokens, index + 1)
        if name is None:
            continue
        parts = tuple(
            dialect.fold(part.text, part.token_type == TokenType.IDENTIFIER) for part in name
        )
        alone = len(parts) == 1 and dialect.alias(parts[0]) in ctes
        quoted = name[-1].token_type == TokenType.IDENTIFIER
        if alone or dialect.is_system(parts) or dialect.is_file(parts, False, quoted):
            continue
        start, end = name[0].start, name[-1].end + 1
        line, column = source.lines.place(start)
        yield Reference(
            parts, start, end, line, column, aliased=_has_alias(tokens, name[-1]), certain=False
        )


def _name(tokens: Sequence[Token], index: int) -> list[Token] | None:
    """The parts of the dotted name at *index*; None for a function, or if there is no name."""
    parts = []
    while index < len(tokens) and tokens[index].token_type in _NAMES:
        parts.append(tokens[index])
        following = tokens[index + 1].token_type if index + 1 < len(tokens) else None
        if following != TokenType.DOT:
            return None if following == TokenType.L_PAREN else parts
        index += 2
    return None


def _has_alias(tokens: Sequence[Token], last: Token) -> bool:
    at = next(index for index, token in enumerate(tokens) if token is last) + 1
    return at < len(tokens) and tokens[at].token_type in {TokenType.ALIAS, *_NAMES}


def _ctes(source: TokenizedText) -> Iterator[str]:
    """Every name that stands where a CTE is named: `with a as (`, `, b (x, y) as (`."""
    tokens = source.tokens
    for index, token in enumerate(tokens):
        if token.token_type not in _NAMES:
            continue
        at = index + 1
        if at < len(tokens) and tokens[at].token_type == TokenType.L_PAREN:
            while at < len(tokens) and tokens[at].token_type != TokenType.R_PAREN:
                at += 1
            at += 1
        if at < len(tokens) and tokens[at].token_type == TokenType.ALIAS:
            quoted = token.token_type == TokenType.IDENTIFIER
            yield source.dialect.alias(source.dialect.fold(token.text, quoted))
