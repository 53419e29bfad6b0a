"""Values and names as sqlglot writes them. It is imported for those that are not plain: fill_in.py
writes the others."""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection
from decimal import Decimal
from typing import Any

from sqlglot import TokenType, exp

from dagster_models.sql.literals import sqlglot_dialect


def literal(value: Any, dialect: str) -> str:
    """As ``fill_in.literal``. Raises TypeError."""
    return _literal(value).sql(dialect=dialect)


def nested_literal(value: Any, dialect: str) -> str:
    """As ``fill_in.nested_literal``. Raises TypeError."""
    return _nested(value).sql(dialect=dialect)


def quote(identifier: str, dialect: str) -> str:
    """A quoted identifier."""
    return exp.to_identifier(identifier, quoted=True).sql(dialect=dialect)


def last_part(relation: str, dialect: str) -> tuple[str, bool] | None:
    """The last part of a dotted name, and whether it is quoted; None for other SQL."""
    tokens = sqlglot_dialect(dialect).tokenize(relation)
    names, dots = tokens[::2], tokens[1::2]
    if len(tokens) % 2 == 0 or any(dot.token_type != TokenType.DOT for dot in dots):
        return None
    return names[-1].text, names[-1].token_type == TokenType.IDENTIFIER


def reserved(dialect: str) -> Collection[str]:
    """Words that are only names in quotes."""
    words: Collection[str] = sqlglot_dialect(dialect).generator_class.RESERVED_KEYWORDS
    return words


def _literal(value: Any) -> exp.Expr:
    if value is None:
        return exp.Null()
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, (int, Decimal, float)):
        return _number(value)
    if isinstance(value, str):
        if "\0" in value:
            raise TypeError("a text with a NUL character has no SQL literal")
        return exp.Literal.string(value)
    if isinstance(value, datetime.datetime):
        kind = (
            exp.DataType.Type.TIMESTAMP if value.tzinfo is None else exp.DataType.Type.TIMESTAMPTZ
        )
        return exp.cast(exp.Literal.string(value.isoformat(" ")), kind)
    if isinstance(value, datetime.date):
        return exp.cast(exp.Literal.string(value.isoformat()), exp.DataType.Type.DATE)
    if isinstance(value, (list, tuple)):
        return exp.Array(expressions=[_literal(item) for item in value])
    raise TypeError(f"a {type(value).__name__} has no SQL literal")


def _nested(value: Any) -> exp.Expr:
    if isinstance(value, list):
        return exp.Array(expressions=[_nested(item) for item in value])
    if isinstance(value, dict):
        if not value:  # no struct is without fields; JSON, maps and texts can be cast from this
            return exp.ToMap(this=exp.Struct())
        fields = (
            exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=_nested(item))
            for name, item in value.items()
        )
        return exp.Struct(expressions=[*fields])
    return _literal(value)


def _number(value: int | float | Decimal) -> exp.Expr:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise TypeError(f"{value} has no SQL literal")
        return exp.Literal.number(format(value, "f"))
    if isinstance(value, float) and not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return exp.cast(exp.Literal.string(name), exp.DataType.Type.DOUBLE)
    return exp.Literal.number(repr(value))
