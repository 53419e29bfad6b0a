"""``warn_if`` and ``error_if``: `> 10` rows, or `> 1.5%` of them."""

from __future__ import annotations

import re
from decimal import Decimal

from dagster_models.core.checks import Threshold
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode

_THRESHOLD = re.compile(r"(>=|>|!=|<>)\s*(-?\d+(?:\.\d+)?)\s*(%?)\Z", re.ASCII)
_FIX = "Write `> 10` for a number of rows, or `> 1.5%` for a share of those in scope."


def threshold(node: YamlNode) -> Threshold:
    """A number of offending rows, or their share, that is too many.

    dbt's `>= 10` and `!= 0` are read too, as whole numbers leave no doubt what they mean.
    """
    written = node.value if isinstance(node.value, str) else None
    found = _THRESHOLD.match(written.strip()) if written is not None else None
    if found is None:
        raise BadValue(f"expected a threshold, got {fields.describe(node)}", node.place, _FIX)
    sign, number, percent = found.groups()
    above = Decimal(number)
    if above < 0:
        raise BadValue("a number of rows is never negative", node.place, _FIX)
    if percent:
        return _share(sign, above, node)
    if above != above.to_integral_value():
        raise BadValue(f"{number} is not a number of rows", node.place, _FIX)
    if sign == ">=":
        above -= 1
    if above < 0:
        raise BadValue("any number of rows is 0 or more: it is always too many", node.place, _FIX)
    if sign in ("!=", "<>") and above:
        raise BadValue(f"`{written}` is also true of fewer rows", node.place, _FIX)
    return Threshold(_plain(above))


def _share(sign: str, above: Decimal, node: YamlNode) -> Threshold:
    if sign != ">" and (sign == ">=" or above):
        raise BadValue(f"`{sign}` cannot be used with a share of the rows", node.place, _FIX)
    if above >= 100:
        what = "more than 100% of the rows can never offend, so it is never too many"
        raise BadValue(what, node.place, _FIX)
    return Threshold(_plain(above), percent=True)


def _plain(number: Decimal) -> str:
    """The number without zeros at its end: equal thresholds are equal values."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def why_impossible(warn_if: Threshold | None, error_if: Threshold | None) -> str:
    """Why a check with these two thresholds could never warn, "" if it can."""
    if warn_if is None or error_if is None or warn_if.percent != error_if.percent:
        return ""
    if Decimal(warn_if.above) < Decimal(error_if.above):
        return ""
    return f"the check never warns: whatever is {warn_if} is {error_if}, which is an error"
