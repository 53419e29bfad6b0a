"""``partitions:`` and ``automation:`` as they are written: named sets of partitions in
dagster_models.yaml, and what a model says of its own."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dagster_models.core.model import Location
from dagster_models.core.partitions import Automation, PartitionsConfig, PartitionSet
from dagster_models.project.problems import Noted, Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.plain_names import NAME

_EXAMPLE = "E.g. `daily: {every: day, start: 2024-01-01, timezone: America/New_York}`."


# Named sets ---------------------------------------------------------------------------------------


def _moment(node: YamlNode) -> datetime.datetime:
    """A date, or a date and time without a zone."""
    found = node.value
    try:
        if isinstance(found, str):
            found = datetime.datetime.fromisoformat(found.strip())
    except ValueError:
        found = None
    if isinstance(found, datetime.date) and not isinstance(found, datetime.datetime):
        found = datetime.datetime(found.year, found.month, found.day)
    if not isinstance(found, datetime.datetime):
        fix = "Write a date, e.g. 2024-01-01."
        raise BadValue(f"expected a date, got {fields.describe(node)}", node.place, fix)
    if found.tzinfo is not None:
        fix = "Delete its offset: the time is that of `timezone`."
        raise BadValue("a time has an offset", node.place, fix)
    return found


SET_KEYS: dict[str, Reader] = {
    "every": fields.OneOf("hour", "day", "week", "month"),
    "cron": fields.text,
    "start": _moment,
    "end": _moment,
    "timezone": fields.timezone,
}


def read_partition_sets(node: YamlNode | None, report: Report) -> dict[str, PartitionSet]:
    """The named sets of partitions in dagster_models.yaml. What is wrong is reported."""
    found: dict[str, PartitionSet] = {}
    for name, place, item in fields.named_entries(node, "partitions", report):
        if not NAME.match(name):
            fix = "Use letters, digits and _ only."
            report(problem(f"`{name}` cannot be the name of partitions", place, fix))
            continue
        try:
            is_list = isinstance(item.value, list)
            read = _values(name, item) if is_list else _times(name, item, place, report)
        except BadValue as wrong:
            report(problem(f"`{name}`: {wrong.what}", wrong.place, wrong.fix))
            continue
        if read is not None:
            found[name] = read
    return found


def _values(name: str, node: YamlNode) -> PartitionSet:
    values: list[str] = []
    for item in node.value:
        if isinstance(item.value, (dict, list)):
            fix = "Write a list of texts; partitions of two dimensions are not supported."
            raise BadValue(f"expected texts, got {fields.describe(item)}", item.place, fix)
        values.append(fields.text(item))
        if values[-1] in values[:-1]:
            raise BadValue(f"`{values[-1]}` is listed twice", item.place, "Delete one of them.")
        if not values[-1].strip():
            raise BadValue("a value is empty", item.place, "Delete it.")
    if not values:
        raise BadValue("the list is empty", node.place, "List its values.")
    return PartitionSet(name, "values", values=tuple(values), location=node.place)


def _times(name: str, node: YamlNode, place: Location, report: Report) -> PartitionSet | None:
    if not isinstance(node.value, dict):
        what = f"expected how often and since when, or a list, got {fields.describe(node)}"
        raise BadValue(what, node.place, _EXAMPLE)
    noted = Noted(report)
    values = read_mapping(node, SET_KEYS, noted)
    if noted.problems:
        return None
    every, start, end = values.get("every"), values.get("start"), values.get("end")
    if (every is None) == ("cron" not in values):
        what = "has both `every` and `cron`" if every else "has neither `every` nor `cron`"
        raise BadValue(f"it {what}", place, f"Keep one. {_EXAMPLE}")
    if start is None:
        raise BadValue("`start` is missing: where its first partition begins", place, _EXAMPLE)
    found = PartitionSet(
        name,
        every or "cron",
        values.get("cron", ""),
        start,
        end,
        values.get("timezone", "UTC"),
        location=node.value["cron"].place if "cron" in values else node.place,
    )
    for key in ("start", "end"):
        moment = values.get(key)
        if moment is not None and every in ("day", "week", "month") and moment.time() != _MIDNIGHT:
            fix = "Write the day alone, or use `cron:` for days that begin at another time."
            what = f"`{key}` has a time, and its partitions begin at midnight"
            raise BadValue(what, node.value[key].place, fix)
    if end is not None and end <= start:
        raise BadValue("`end` is not after `start`", node.value["end"].place, "Change one of them.")
    return found


_MIDNIGHT = datetime.time()


# What a model says --------------------------------------------------------------------------------


def _offsets(node: YamlNode) -> tuple[int, int]:
    """[from, to]: from so many partitions before the first one, to so many after the last."""
    items = node.value if isinstance(node.value, list) else ()
    found = [item.value for item in items if type(item.value) is int]
    if len(found) != 2 or len(items) != 2 or found[0] > 0 or found[1] < 0:
        fix = "E.g. `read: [-6, 0]`: from 6 partitions before the first one to the last one itself."
        raise BadValue("expected two numbers, [from, to]", node.place, fix)
    return found[0], found[1]


MODEL_KEYS: dict[str, Reader] = {
    "of": fields.text,
    "by": fields.text,
    "read": _offsets,
    "widen": fields.OneOf("day", "week", "month", "year"),
}


def partitions(node: YamlNode) -> PartitionsConfig:
    """The name of a set, or `{of: ..., by: ..., read: [-6, 0], widen: ...}`."""
    if isinstance(node.value, list):
        what = "a list of sets would be partitions of several dimensions"
        fix = (
            "Name one set. Dagster runs ranges over two dimensions wrongly, so a run could not"
            " say which of them it builds; filter the other one in the query, or make a model each."
        )
        raise BadValue(what, node.place, fix)
    if not isinstance(node.value, dict):
        return PartitionsConfig(fields.text(node))
    values = fields.values_of(node, MODEL_KEYS)
    if "of" not in values:
        raise BadValue("`of` is missing", node.place, "Write `partitions: {of: daily, by: day}`.")
    return PartitionsConfig(**values)


def source_partitions(node: YamlNode) -> PartitionsConfig:
    """`{by: column}`: the column by which models that read a source may be partitioned."""
    written = node.value if isinstance(node.value, dict) else {}
    if [*written] != ["by"]:
        fix = "Write `partitions: {by: column}`."
        raise BadValue(f"expected `by`, got {fields.describe(node)}", node.place, fix)
    return PartitionsConfig("", fields.text(written["by"]))


_ON_CRON = re.compile(r"on_cron\(\s*(['\"])(?P<cron>[^'\"]+)\1\s*\)\Z")
_AUTOMATION_FIX = 'Write `eager`, `on_missing` or `on_cron("0 6 * * *")`.'


def _condition(node: YamlNode) -> tuple[str, str]:
    """The name of the condition, and its cron."""
    text = node.value.strip() if isinstance(node.value, str) else ""
    if text in ("eager", "on_missing"):
        return text, ""
    if found := _ON_CRON.match(text):
        return "on_cron", found["cron"].strip()
    raise BadValue(f"{fields.describe(node)} is no condition", node.place, _AUTOMATION_FIX)


AUTOMATION_KEYS: dict[str, Reader] = {
    "condition": _condition,
    "timezone": fields.timezone,
    "lookback": fields.Integer(1),
}


def automation(node: YamlNode) -> Automation:
    """A condition, or `{condition: ..., timezone: ..., lookback: 3}`."""
    if not isinstance(node.value, dict):
        return Automation(*_condition(node))  # type: ignore[arg-type]
    values = fields.values_of(node, AUTOMATION_KEYS)
    if "condition" not in values:
        raise BadValue("`condition` is missing", node.place, _AUTOMATION_FIX)
    condition, cron = values.pop("condition")
    if "timezone" in values and not cron:
        fix = "Delete it: only on_cron has a time."
        raise BadValue(f"`timezone` has no effect on {condition}", node.keys["timezone"], fix)
    return Automation(condition, cron, **values)


class UpstreamName(NamedTuple):
    """A name in ``upstream:``. ``partitions``: which of its partitions are read, "" if unsaid."""

    name: str
    place: Location
    partitions: str = ""


def upstream_names(node: YamlNode) -> tuple[UpstreamName, ...]:
    """One name, a list of them, or `{name: {partitions: last}}`."""
    if not isinstance(node.value, dict):
        items = node.value if isinstance(node.value, list) else [node]
        return tuple(UpstreamName(fields.text(item).strip(), item.place) for item in items)
    found = []
    for name, place, item in node.items():
        how = ""
        if item.value is not None:
            _check_keys(item)
            how = fields.OneOf("last", "all", "same")(item.value["partitions"])
        found.append(UpstreamName(name.strip(), place, how))
    return tuple(found)


def _check_keys(node: YamlNode) -> None:
    written: Mapping[str, Any] = node.value if isinstance(node.value, dict) else {}
    if [*written] != ["partitions"]:
        fix = "Write `{name: {partitions: last}}`, or a list of names."
        raise BadValue(f"expected `partitions`, got {fields.describe(node)}", node.place, fix)
