"""Reading the arguments of checks: one reader for each type of argument."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode


def values(node: YamlNode) -> tuple[Any, ...]:
    """A list of single values."""
    if not isinstance(node.value, list) or not node.value:
        fix = "Write `values: [a, b]`."
        got = "an empty one" if node.value == [] else fields.describe(node)
        raise BadValue(f"expected a list of values, got {got}", node.place, fix)
    for item in node.value:
        if isinstance(item.value, (dict, list)):
            raise BadValue(f"{fields.describe(item)} is not a single value", item.place)
    found = tuple(node.plain())
    if set(found) == {None}:
        fix = "Name other values; `not_null` finds rows with NULL."
        raise BadValue("NULL alone is compared with nothing", node.place, fix)
    return found


def columns(node: YamlNode) -> tuple[str, ...]:
    """The names of columns, each once."""
    found = fields.words(node)
    if not found:
        raise BadValue("expected columns, got none", node.place, "Write `columns: [a, b]`.")
    folded = [name.lower() for name in found]
    for item, name in zip(node.value if len(found) > 1 else (), folded, strict=False):
        if folded.count(name) > 1:
            raise BadValue(f"the column `{item.value}` is there twice", item.place, "Delete one.")
    return found


_DBT_NAME = re.compile(
    r"(?:\{\{\s*)?(?:ref|source)\(\s*(['\"])([\w.]+)\1(?:\s*,\s*(['\"])([\w.]+)\3)?\s*\)(?:\s*\}\})?\Z"
)


def relation(node: YamlNode) -> str:
    """The name of a model or source, also as dbt writes it: `ref('orders')`."""
    written = fields.text(node).strip()
    if found := _DBT_NAME.match(written):
        one, other = found[2], found[4]
        if not other:
            return str(one)
        # The first part of a ref is a package, and of a source its schema.
        return str(other) if "ref(" in written else f"{one}.{other}"
    if not re.fullmatch(r"[^\s(){}'\"]+", written):
        fix = "Write the name of a model or a source: `orders` or `marts.orders`."
        raise BadValue(f"{fields.describe(node)} is not a name", node.place, fix)
    return written


def sql(node: YamlNode) -> str:
    """A condition in SQL, which is parsed later."""
    written = fields.text(node) if not isinstance(node.value, bool) else str(node.value).lower()
    if not written.strip():
        raise BadValue("expected a condition in SQL, got nothing", node.place)
    return written


def number(node: YamlNode) -> int | float:
    """A number, also one that is written as text."""
    value = node.value
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value.strip(), re.ASCII):
        value = float(value) if "." in value else int(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise BadValue(f"expected a number, got {fields.describe(node)}", node.place)


def count(node: YamlNode) -> int:
    """A number of rows, values or characters."""
    found = number(node)
    if found != int(found) or found < 0:
        what = f"expected a whole number of 0 or more, got {fields.describe(node)}"
        raise BadValue(what, node.place)
    return int(found)


_NO_TEXT = re.compile(r"[-+]?\d+(\.\d+)?|\d{4}-\d\d-\d\d([ T].*)?", re.ASCII)


def bound(node: YamlNode) -> int | float | str | datetime.date:
    """What values may not be below or above: a number, a date, a time or a text."""
    if isinstance(node.value, str) and _NO_TEXT.fullmatch(node.value.strip()):
        what = f"{fields.describe(node)} is a text, which no number and no date is compared with"
        fix = "Delete the quotes. For a column of texts, write an `expression`."
        raise BadValue(what, node.place, fix)
    if isinstance(node.value, (str, datetime.date)):
        return node.value
    if isinstance(node.value, bool):
        fix = "Write a number, a date or a text."
        raise BadValue(f"expected a bound, got {fields.describe(node)}", node.place, fix)
    return number(node)


def share(node: YamlNode) -> int | float:
    """A number from 0 to 1."""
    found = number(node)
    if not 0 <= found <= 1:
        raise BadValue(f"expected a number from 0 to 1, got {found}", node.place)
    return found


def percent(node: YamlNode) -> float:
    """`20%`, as a number of percent."""
    written = node.value if isinstance(node.value, str) else ""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", written.strip())
    if found is None or not float(found[1]):
        fix = "Write it with its sign: `20%`."
        raise BadValue(f"expected a percentage, got {fields.describe(node)}", node.place, fix)
    return float(found[1])


def positive(node: YamlNode) -> int | float:
    found = number(node)
    if found <= 0:
        raise BadValue(f"expected more than 0, got {found}", node.place)
    return found


def at_least(least: int) -> Callable[[YamlNode], int]:
    """A whole number that is not smaller."""

    def read(node: YamlNode) -> int:
        found = count(node)
        if found < least:
            raise BadValue(f"expected {least} or more, got {found}", node.place)
        return found

    return read


#: The units of a step or an age, by the words that users know.
UNITS: Mapping[str, str] = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "second"),
    **dict.fromkeys(("m", "min", "minute", "minutes"), "minute"),
    **dict.fromkeys(("h", "hour", "hours"), "hour"),
    **dict.fromkeys(("d", "day", "days"), "day"),
    **dict.fromkeys(("w", "week", "weeks"), "week"),
    **dict.fromkeys(("month", "months"), "month"),
    **dict.fromkeys(("y", "year", "years"), "year"),
}
_SPAN = re.compile(r"(\d+)\s*([a-z]+)\Z", re.ASCII)


def span(node: YamlNode) -> str:
    """A span of time as the text of an interval: `12h` is `12 hour`."""
    written = node.value.strip().lower() if isinstance(node.value, str) else ""
    found = _SPAN.match(written)
    if found is None or found[2] not in UNITS or not int(found[1]):
        fix = "Write a number and a unit, such as 30m, 12h, 3d or 1 month."
        raise BadValue(f"expected a span of time, got {fields.describe(node)}", node.place, fix)
    return f"{int(found[1])} {UNITS[found[2]]}"


def step(node: YamlNode) -> int | float | str:
    """By how much each value is larger than the one before it: a number or a span of time."""
    if isinstance(node.value, str) and not re.fullmatch(r"\s*\d+(\.\d+)?\s*", node.value):
        return span(node)
    return positive(node)


def refuse_crossed(values: Mapping[str, Any], node: YamlNode) -> None:
    """Refuse bounds that no value is between. Raises BadValue at the second one."""
    least, most = values.get("min"), values.get("max")
    if least is None or most is None:
        return
    place = node.value["max"].place if isinstance(node.value, dict) else node.place
    kinds = [_sort_of(least), _sort_of(most)]
    if kinds[0] != kinds[1]:
        what = f"`min` is a {kinds[0]}, and `max` is a {kinds[1]}"
        raise BadValue(what, place, "Write both as the same sort of value.")
    if kinds[0] == "text":
        return  # the order of texts is the warehouse's
    crossed, same = _compared(least, most)
    if crossed:
        raise BadValue(f"`min: {least}` is more than `max: {most}`", place, "Exchange them.")
    if same and values.get("inclusive") is False:
        raise BadValue("no value is between the bounds", place, "Delete `inclusive: false`.")


def _sort_of(value: Any) -> str:
    if isinstance(value, datetime.date):  # a datetime is a date
        return "date"
    return "text" if isinstance(value, str) else "number"


def _compared(least: Any, most: Any) -> tuple[bool, bool]:
    if isinstance(least, (int, float)):
        one, other = Decimal(repr(least)), Decimal(repr(most))
        return one > other, one == other
    if type(least) is not type(most) or getattr(least, "tzinfo", None) != getattr(
        most, "tzinfo", None
    ):
        return False, False  # a date and a time, or two time zones: the warehouse's business
    return least > most, least == most
