"""Which functions sqlglot's parser does not know: a call of them means nothing special to it."""

from __future__ import annotations

from functools import cache

from dagster_models.sql.dialects.known_functions import CALLS_AND_SUBSCRIPTS
from dagster_models.sql.literals import sqlglot_dialect
from dagster_models.sql.suspects import takes_a_name

#: What the parser reads by its text, as a name or in FROM.
_READ_BY_TEXT = frozenset({"IDENTIFIER", "TABLE"})


def is_unknown(name: str, dialect: str) -> bool:
    """Whether a call of the function is one like any other, and reads no table whose bare name it
    is given. False in dialects for which nobody has compared it."""
    if dialect not in CALLS_AND_SUBSCRIPTS or takes_a_name(name):
        return False
    return name.upper() not in _known(dialect)


@cache
def _known(dialect: str) -> frozenset[str]:
    """In capitals."""
    parser = sqlglot_dialect(dialect).parser_class
    functions = (parser.FUNCTIONS, parser.FUNCTION_PARSERS, parser.NO_PAREN_FUNCTION_PARSERS)
    return frozenset(name.upper() for of in functions for name in of) | _READ_BY_TEXT
