"""The word of a type in another dialect."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.table import dialect_of


def type_in(word: str, dialect: str, other: str) -> str:
    """What *other* calls the type; the same word for one that is not known, and "" for one that
    *other* is known not to have."""
    node = _type(word, dialect)
    if node is None or dialect == other:
        return word
    for part in list(node.find_all(exp.DataType)):
        there = dialect_of(other).foreign_type(part.this)
        if there is None:
            continue
        if not there:
            return ""
        own = exp.DataType.build(there, dialect=other)
        if part is node:
            node = own
        else:
            part.replace(own)
    return dialect_of(other).declared_type(node.sql(dialect=other))


def is_foreign(word: str, dialect: str, other: str) -> bool:
    """Whether *other* has no type of this word. Its own query may then return another type than the
    one that *dialect* would: a sum of integers is a HUGEINT in one, and a bigint in the other."""
    node = _type(word, dialect)
    if node is None or dialect == other:
        return False
    known = dialect_of(other).foreign_type
    return any(known(part.this) is not None for part in node.find_all(exp.DataType))


def _type(word: str, dialect: str) -> exp.DataType | None:
    try:
        return exp.DataType.build(word, dialect=dialect) if word else None
    except Exception:  # sqlglot raises many kinds; a type that it does not know is still a type
        return None
