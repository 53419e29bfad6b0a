"""Where the literals and the comments of a text are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, lru_cache

from sqlglot import Dialect as SqlglotDialect
from sqlglot import Token, TokenError

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.comments import comments_before
from dagster_models.sql.rewriting.token_rewriter import TEXTS


class Layout:
    """Places of a text, in its order. They are found when they are asked for: most ask for one
    kind of them. All who ask for a text get the same tokens, so nobody changes them (sqlglot's
    parser may add to their comments, which nobody reads)."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text, self.tokens = text, tokens

    @cached_property
    def literals(self) -> Sequence[slice]:
        return [slice(it.start, it.end + 1) for it in self.tokens if it.token_type in TEXTS]

    @cached_property
    def comments(self) -> Sequence[slice]:
        found = comments_before(self._text, self.tokens)
        return [place for _, places in found for place in places]

    @cached_property
    def words(self) -> Sequence[slice]:
        """The tokens, each as written."""
        return [slice(it.start, it.end + 1) for it in self.tokens]

    def said(self, text: str) -> list[str]:
        return [text[it.start : it.end + 1] for it in self.tokens]


@lru_cache(maxsize=8)  # a text is asked for its marks, for Jinja and for what it reads in turn
def layout(text: str, dialect: str) -> Layout:
    """Read the places. Raises SqlSyntaxError for a text that has no tokens."""
    try:
        tokens: list[Token] = sqlglot_dialect(dialect).tokenize(text)
    except TokenError as error:
        raise SqlSyntaxError(f"the text has no tokens: {error}", 1, 1) from None
    return Layout(text, tokens)


@cache
def sqlglot_dialect(name: str) -> SqlglotDialect:
    """sqlglot makes a new one each time that it is asked. ValueError for one that it does not
    know."""
    return SqlglotDialect.get_or_raise(name)


def has_tokens(text: str, dialect: str) -> bool:
    """Whether the text is one that ``layout`` reads."""
    try:
        layout(text, dialect)
    except SqlSyntaxError:
        return False
    return True


@lru_cache(maxsize=4096)  # texts name the same tables again and again
def needs_quotes(name: str, dialect: str) -> bool:
    """Whether a name is not one word that the dialect reads as a name."""
    if not (name.isidentifier() and name.isascii()):
        return True
    reserved = sqlglot_dialect(dialect).generator_class.RESERVED_KEYWORDS
    return name.lower() in reserved or name.upper() in reserved or name.upper() in _RESERVED


#: Words that no warehouse takes as the name of a table.
_RESERVED = {
    *("ALL", "AND", "ANY", "AS", "ASC", "BETWEEN", "CASE", "CAST", "CHECK", "COLUMN", "CREATE"),
    *("CROSS", "DEFAULT", "DESC", "DISTINCT", "ELSE", "END", "EXCEPT", "EXISTS", "FALSE", "FOR"),
    *("FROM", "FULL", "GROUP", "HAVING", "IN", "INNER", "INTERSECT", "INTO", "IS", "JOIN", "LEFT"),
    *("LIKE", "LIMIT", "NATURAL", "NOT", "NULL", "OFFSET", "ON", "OR", "ORDER", "OUTER", "PRIMARY"),
    *("RIGHT", "SELECT", "TABLE", "THEN", "TO", "TRUE", "UNION", "UNIQUE", "USER", "USING", "WHEN"),
    *("WHERE", "WINDOW", "WITH"),
}
