"""The condition of an `accepted_values` check: exact, whatever the types of column and values.

A warehouse that compares two types casts one of them, and a cast may lose what is to be checked: in
DuckDB 1 = '1.4' and '01' = 1 hold. So nothing is compared across types. The column's value is
written as text, in one of four forms by the column's type, and each value of the list is written
in every form in which it has a meaning:

    a number             1.50 is 1.5 and 1.5e0, in a column of any numeric type
    a date or timestamp  2024-01-01 is 2024-01-01 00:00:00; with a time zone, it is the same instant
    a boolean            true or false
    any other type       the text, as the warehouse writes it, character by character

A text of the list that is written as a number or a date, such as '1.5', stands for that too. One
that a warehouse casts to a boolean, such as 'f', is an error in a column of booleans.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from dagster_models.core.value_forms import ValueForms
from dagster_models.sql.fill_in import literal

#: A text that is also a number. With leading zeros it is not: '01' is a code, and differs from 1.
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,99})(\.\d{1,99})?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
#: Texts that a warehouse takes for a boolean, and that are not how it writes one.
_LIKE_BOOLEANS = frozenset(("t", "f", "yes", "no", "y", "n", "on", "off", "1", "0"))
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(\.\d+)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)


def is_accepted(values: Iterable[Any], forms: ValueForms, dialect: str) -> str:
    """The SQL condition that the value of *forms*, which is not NULL, is one of *values*."""
    listed = [value for value in values if value is not None]

    def one_of(written: str, spell: Callable[[Any, ValueForms], list[str]]) -> str:
        texts = dict.fromkeys(text for value in listed for text in spell(value, forms))
        literals = ", ".join(literal(text, dialect) for text in texts)
        return f"{written} in ({literals})" if literals else "false"

    others = " or ".join(one_of(text, _as_text) for text in forms.texts)
    return "\n".join(
        [
            "case",
            f"  when {forms.is_text} then {one_of(forms.texts[0], _as_text)}",
            f"  when {forms.is_whole} then {one_of(forms.texts[0], _as_number)}",
            f"  when {forms.is_moment} then {one_of(forms.moment, _as_moment)}",
            f"  when {forms.is_boolean} then"
            f" {_refused(listed, forms, dialect) or one_of(forms.texts[0], _as_text)}",
            f"  when {forms.is_number} then {one_of(forms.number, _as_number)}",
            f"  else coalesce({others}, false)",
            "end",
        ]
    )


def _refused(listed: Iterable[Any], forms: ValueForms, dialect: str) -> str:
    """A cast that fails in a column of booleans, and only when it is made; "" if nothing in the
    list is mistaken for a boolean."""
    wrong = [it for it in listed if isinstance(it, str) and it.lower() in _LIKE_BOOLEANS]
    if not wrong:
        return ""
    why = f": the column is a boolean, and the list has '{wrong[0]}'. Write true or false"
    # The condition is part of the text so that it is no constant, which planners cast at once.
    said = f"cast({forms.is_boolean} as {forms.text_type})"
    return f"cast({said} || {literal(why, dialect)} as boolean)"


def _as_text(value: Any, forms: ValueForms) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, float):
        return [repr(value) if math.isfinite(value) else forms.not_finite[repr(value)]]
    if isinstance(value, dt.datetime):
        return [value.isoformat(" ")]
    return [str(value)]


def _as_number(value: Any, forms: ValueForms) -> list[str]:
    if isinstance(value, float) and not math.isfinite(value):
        return [forms.not_finite[repr(value)]]
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = Decimal(value)
    else:
        return []
    plain = format(number, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    if not number:
        return ["0", "-0"] if forms.exponents else ["0"]
    return [plain, _with_exponent(number)] if forms.exponents else [plain]


def _with_exponent(number: Decimal) -> str:
    """As programs write a double that is very large or small: 1.5e+16, 1e-05."""
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    fraction = f".{digits[1:]}" if digits[1:] else ""
    return f"{'-' if number < 0 else ''}{digits[0]}{fraction}e{number.adjusted():+03d}"


def _as_moment(value: Any, forms: ValueForms) -> list[str]:
    text = value.isoformat() if isinstance(value, dt.date) else value  # a datetime is a date
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return []
    day, minutes, seconds, fraction, zone = found.groups()
    moment = f"{day} {minutes or '00:00'}:{seconds or '00'}"
    fraction = (fraction or "").rstrip("0").rstrip(".")
    if zone is None:
        return [moment + fraction]
    sign, hours, more = zone[0], zone[1:3], zone[-2:] if len(zone) > 3 else "00"
    try:
        local = dt.datetime.fromisoformat(moment)
        offset = (
            dt.timedelta() if zone == "Z" else dt.timedelta(hours=int(hours), minutes=int(more))
        )
        utc = local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):  # it looks like a moment, and there is no such day or hour
        return []
    return [f"{utc.isoformat(' ')}{fraction}+00"]
