"""The word of a type in another dialect."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.table import dialect_of


def type_in(word: str, dialect: str, other: str) -> str:
    """What *other* calls the type; the same word for one that is not known."""
    if not word or dialect == other:
        return word
    try:
        found = exp.DataType.build(word, dialect=dialect).sql(dialect=other)
    except Exception:  # sqlglot raises many kinds; a type that it does not know is still a type
        return word
    return dialect_of(other).declared_type(found)
