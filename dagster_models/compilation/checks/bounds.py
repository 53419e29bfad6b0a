"""Comparisons of a value with a bound, in which the value is compared as what it is.

Both warehouses refuse to compare a text with a number or a date, so nothing is cast here but where
a cast of theirs would lose something, or depend on the session.
"""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import Any

from dagster_models.core.value_forms import ValueForms
from dagster_models.sql.fill_in import literal


def compared(value: str, sign: str, bound: Any, forms: ValueForms, dialect: str) -> str:
    """The condition `value < bound`, for any sign. It is NULL only if the value is."""
    of = forms.of(value)
    if isinstance(bound, dt.date):
        naive, zoned = _moments(bound)
        plain = f"{value} {sign} timestamp '{naive}'"
        if not of.is_zoned:
            return plain
        other = f"{value} {sign} timestamptz '{zoned}'"
        return f"case when {of.is_zoned} then {other} else {plain} end"
    if isinstance(bound, str):
        return f"{value} {sign} {literal(bound, dialect)}"
    number = number_sql(bound)
    plain = f"{value} {sign} {number}"
    if not of.is_real or _is_real(bound):
        return plain
    real = f"{value} {sign} cast({number} as {of.real_type})"
    return f"case when {of.is_real} then {real} else {plain} end"


def number_sql(number: int | float) -> str:
    """The number without an exponent, which would make it a double."""
    return format(Decimal(repr(number)), "f")


def _moments(moment: dt.date) -> tuple[str, str]:
    """The moment without a time zone, and with one. One without is of UTC."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return moment.isoformat(" "), f"{moment.isoformat(' ')}+00"


def _is_real(number: int | float) -> bool:
    """Whether it does not matter for a number of four bytes that the literal is none: the literal's
    value is one of theirs, or beyond all of them."""
    try:
        (real,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return True
    return Decimal(real) in (Decimal(repr(number)), 0)


def outside(value: str, arguments: Any, forms: ValueForms, dialect: str) -> str:
    """The condition that a value is not between `min` and `max`, or not `equals`."""
    if "equals" in arguments:
        return compared(value, "<>", arguments["equals"], forms, dialect)
    low, high = ("<", ">") if arguments.get("inclusive", True) else ("<=", ">=")
    signs = {"min": low, "max": high}
    return " or ".join(
        compared(value, sign, arguments[name], forms, dialect)
        for name, sign in signs.items()
        if name in arguments
    )
