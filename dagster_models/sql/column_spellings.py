"""How a query spells the columns that it reads, where quotes decide."""

from __future__ import annotations

from functools import lru_cache

from sqlglot import exp

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.tokens import TokenizedText


@lru_cache(maxsize=1024)
def column_spellings(text: str, dialect: str, on: str) -> frozenset[str]:
    """The names of the columns that *text* reads, as a warehouse of the dialect *on* looks for
    them. None of a text that is not understood."""
    fold, found = dialect_of(on).column, set[str]()
    try:
        trees = TokenizedText(text, dialect).statements()
    except SqlSyntaxError:
        return frozenset()
    for column in (column for tree in trees for column in tree.find_all(exp.Column)):
        name = column.this
        if isinstance(name, exp.Identifier):
            found.add(name.name if name.args.get("quoted") else fold(name.name))
    return frozenset(found)
