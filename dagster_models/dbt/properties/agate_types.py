"""The type that dbt gives to a column of a seed, by agate's rules as dbt sets them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation

_NULLS = ("null", "")
_CURRENCIES = "؋$ƒ៛¥₡₱£€¢﷼₪₩₭₮₦฿₤₫"
_DAY = r"\d{4}(?:-\d\d-\d\d|\d{4}|-W\d\d-\d|W\d{3}|-\d{3}|-\d\d)?"
_CLOCK = r"\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?|[.,]\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?"
_ISO = re.compile(rf"{_DAY}T{_CLOCK}", re.ASCII)


def number(cell: str) -> Decimal | None:
    """The number that agate reads: it takes `$1,000`, `50%` and `1e3` for numbers."""
    plain = cell.strip().strip("%")
    negative = plain.startswith("-")
    plain = plain.removeprefix("-")
    if plain[:1] in _CURRENCIES or plain[-1:] in _CURRENCIES:  # "" is in it, too
        for symbol in _CURRENCIES:
            plain = plain.strip(symbol)
    try:
        found = Decimal(plain.replace(",", ""))
    except InvalidOperation:
        return None
    return -found if negative else found


def is_null(cell: str) -> bool:
    """Whether agate takes it for no value."""
    return cell.strip().lower() in _NULLS


def type_of(cells: Sequence[str]) -> str:
    """The column's type in SQL. One without any value is of whole numbers."""
    given = [cell for cell in cells if not is_null(cell)]
    if (numbers := _numbers(given)) is not None:
        return "float8" if any(it and _has_fraction(it) for it in numbers) else "integer"
    for word, fits in _OTHERS:
        if all(map(fits, given)):
            return word
    return "text"


def _numbers(cells: Sequence[str]) -> list[Decimal] | None:
    """The numbers of a column; None if one of its cells is no number."""
    found = []
    for cell in cells:
        if (it := number(cell)) is None:
            return None
        found.append(it)
    return found


def _has_fraction(found: Decimal) -> bool:
    exponent = found.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent < 0


def _reads(form: str) -> Callable[[str], bool]:
    def fits(cell: str) -> bool:
        try:
            dt.datetime.strptime(cell.strip(), form)
        except ValueError:
            return False
        return True

    return fits


def _is_iso(cell: str) -> bool:
    return _ISO.fullmatch(cell.strip()) is not None


def _is_boolean(cell: str) -> bool:
    return cell.replace(",", "").strip().lower() in ("true", "false")


_TIMESTAMP = "timestamp without time zone"
_OTHERS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("date", _reads("%Y-%m-%d")),
    (_TIMESTAMP, _reads("%Y-%m-%d %H:%M:%S")),
    (_TIMESTAMP, _is_iso),
    ("boolean", _is_boolean),
)
