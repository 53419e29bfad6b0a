"""``freshness:`` of a model, seed or script, in our words or in dbt's.

freshness: {warn: 12h, fail: 24h}

freshness:                         # dbt
  warn_after: {count: 12, period: hour}
  error_after: {count: 1, period: day}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.core.freshness import Freshness
from dagster_models.core.model import Location
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest

_PERIODS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
AFTER_KEYS: dict[str, Reader] = {"count": fields.Integer(1), "period": fields.OneOf(*_PERIODS)}
EXAMPLE = "Write `freshness: {warn: 12h, fail: 24h}`."
#: dbt's words -> ours.
_WORDS = {"warn_after": "warn", "error_after": "fail", "error": "fail", "filter": "where"}


def after(node: YamlNode) -> float:
    """dbt's `{count: 12, period: hour}`, in seconds."""
    if not isinstance(node.value, dict):
        return fields.positive_seconds(node)
    values = fields.values_of(node, AFTER_KEYS)
    missing = [key for key in AFTER_KEYS if key not in values]
    if missing:
        fix = "Write `{count: 12, period: hour}`."
        raise BadValue(f"`{missing[0]}` is missing", node.place, fix)
    return float(values["count"]) * _PERIODS[values["period"]]


LIMITS: dict[str, Reader] = {
    "warn": fields.positive_seconds,
    "fail": fields.positive_seconds,
    "error": fields.positive_seconds,
    "warn_after": after,
    "error_after": after,
}


def of_model(node: YamlNode) -> Freshness:
    """The time in which an asset is to be materialized again."""
    if not isinstance(node.value, dict):
        what = f"expected keys and values, got {fields.describe(node)}"
        raise BadValue(what, node.place, EXAMPLE)
    values = {key: value for key, value in limits_of(node, LIMITS).items() if value is not None}
    if "fail" not in values:
        what = "a model needs `fail`, the time in which it is to be materialized again"
        raise BadValue(what, node.place, EXAMPLE)
    refuse_contradiction(values, node.place)
    if min(values.values()) < 60:
        raise BadValue("Dagster looks once a minute at most", node.place, "Write 1m or more.")
    return Freshness(values["fail"], values.get("warn"))


def limits_of(node: YamlNode, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The limits under our words; None for one that dbt's null takes away."""
    values: dict[str, Any] = {}
    for key, place, item in node.items():
        if key not in readers:
            raise BadValue(f"unknown key `{key}`", place, suggest(key, readers))
        word = _WORDS.get(key, key)
        if word in values:
            fix = f"`{key}` means the same as another one of these keys: keep one of them."
            raise BadValue(f"`{word}` is there twice", place, fix)
        values[word] = readers[key](item) if item.value is not None else None
    return values


def refuse_contradiction(values: Mapping[str, Any], place: Location) -> None:
    warn, fail = values.get("warn"), values.get("fail")
    if warn is None and fail is None:
        raise BadValue("it has neither `warn` nor `fail`", place, EXAMPLE)
    if warn is not None and fail is not None and warn >= fail:
        what = "`warn` is not less than `fail`, so nothing would ever warn"
        raise BadValue(what, place, EXAMPLE)
