"""Reading settings: a small reader for each type of value, and one loop over a mapping's keys.

A reader takes a YamlNode and returns a plain value, or raises BadValue with the place. The loop
reports every wrong key of a mapping and goes on, so that the user sees them all at once.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dagster_models.core.model import Location
from dagster_models.errors import Problem
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import nearest, suggest
from dagster_models.util.plain_names import NAME

Reader = Callable[[YamlNode], Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


class BadValue(Exception):
    """A value is not what its key needs: what is wrong, where, and how to fix it.

    ``rest`` is a value to go on with, so that one mistake is reported once.
    """

    def __init__(self, what: str, place: Location, fix: str = "", rest: Any = None) -> None:
        self.what, self.place, self.fix, self.rest = what, place, fix, rest
        super().__init__(what)


def read_mapping(
    node: YamlNode | None,
    readers: Mapping[str, Reader],
    report: Report,
    later: Collection[str] = (),
) -> dict[str, Any]:
    """The values of *node*'s known keys. Unknown keys and wrong values are reported and left out.

    *later* are dbt's keys that we do not support yet. A key without a value counts as not written.
    """
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        fix = "Write `key: value` lines; mind the space after the colon."
        report(problem(f"expected keys and values, got {describe(node)}", node.place, fix))
        return {}
    values: dict[str, Any] = {}
    for key, place, item in node.items():
        reader = readers.get(key)
        if reader is None:
            report(unknown_key(key, place, readers, later))
        elif item.value is not None:
            try:
                values[key] = reader(item)
            except BadValue as wrong:
                report(problem(f"`{key}`: {wrong.what}", wrong.place, wrong.fix))
                if wrong.rest is not None:
                    values[key] = wrong.rest
    return values


def named_entries(
    node: YamlNode | None, noun: str, report: Report
) -> list[tuple[str, Location, YamlNode]]:
    """The named entries of ``targets:``, ``jobs:``, ``schedules:``."""
    if node is None or node.value is None:
        return []
    if not isinstance(node.value, dict):
        what = f"`{noun}`: expected names, got {describe(node)}"
        report(problem(what, node.place, f"Write `{noun}: {{name: {{...}}}}`."))
        return []
    return list(node.items())


def unknown_key(
    key: str, place: Location, known: Collection[str], later: Collection[str] = ()
) -> Problem:
    if key in later:
        return problem(f"`{key}` is not supported yet", place, "Delete the key.")
    return problem(f"unknown key `{key}`", place, suggest(key, known))


def describe(node: YamlNode) -> str:
    """A value in words that a user understands."""
    if isinstance(node.value, dict):
        return "keys and values"
    if isinstance(node.value, list):
        return "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f"the text {node.value!r}"
    if isinstance(node.value, bool):
        return f"`{str(node.value).lower()}`"
    return f"{node.value}"


# --- readers ---------------------------------------------------------------------------------


def as_is(node: YamlNode) -> YamlNode:
    """The node itself, for what is read later."""
    return node


def text(node: YamlNode) -> str:
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, (dict, list)) or node.value is None:
        raise BadValue(f"expected text, got {describe(node)}", node.place)
    raise BadValue(f"expected text, got {describe(node)}", node.place, "Put it in quotes.")


def name(node: YamlNode) -> str:
    """A word that Dagster accepts as a name."""
    if not NAME.match(text(node)):
        fix = "Use letters, digits and _ only."
        raise BadValue(f"{node.value!r} cannot be a name", node.place, fix)
    return text(node)


def boolean(node: YamlNode) -> bool:
    if not isinstance(node.value, bool):
        raise BadValue(f"expected true or false, got {describe(node)}", node.place)
    return node.value


def only(allowed: bool) -> Reader:
    """A key that says nothing new, and cannot say anything else."""

    def read(node: YamlNode) -> bool:
        if boolean(node) is not allowed:
            what = f"only {str(allowed).lower()} is supported"
            raise BadValue(what, node.place, "Delete the key.")
        return allowed

    return read


@dataclass(frozen=True, slots=True)
class Integer:
    """Reads a whole number, *least* or more."""

    least: int | None = None

    def __call__(self, node: YamlNode) -> int:
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            raise BadValue(f"expected a whole number, got {describe(node)}", node.place)
        if self.least is not None and node.value < self.least:
            raise BadValue(f"expected {self.least} or more, got {node.value}", node.place)
        return node.value


class OneOf:
    """Reads one of the words *allowed*."""

    __slots__ = ("allowed",)

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, node: YamlNode) -> str:
        if node.value not in self.allowed:
            fix = suggest(str(node.value), self.allowed, "Allowed")
            raise BadValue(f"{describe(node)} is not allowed", node.place, fix)
        return str(node.value)


def words(node: YamlNode) -> tuple[str, ...]:
    """One text or a list of texts."""
    items = node.value if isinstance(node.value, list) else [node]
    return tuple(text(item) for item in items)


def placed_names(node: YamlNode) -> tuple[tuple[str, Location], ...]:
    """One name or a list of them, each with its place."""
    items = node.value if isinstance(node.value, list) else [node]
    return tuple((text(item).strip(), item.place) for item in items)


#: What Dagster accepts.
_OWNER = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z|]{2,7}\Z|team:.+\Z")
_TAG = re.compile(r"([A-Za-z0-9_.-]{1,63}/)?[A-Za-z0-9_.-]{1,63}\Z")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,63}\Z")
#: Beside those that an asset gets from its file.
_MOST_KINDS = 7


def owners(node: YamlNode) -> tuple[str, ...]:
    """One owner or a list of them, each an e-mail address or ``team:name``."""
    for item in node.value if isinstance(node.value, list) else [node]:
        if not _OWNER.match(text(item)):
            fix = "Write an e-mail address, or `team:` and a name."
            raise BadValue(f"{describe(item)} is not an owner", item.place, fix)
    return words(node)


def tags(node: YamlNode) -> tuple[str, ...]:
    """One tag, a list of them, or values by tag: each as `name` or `name=value`."""
    if isinstance(node.value, dict):
        return tuple(_tag_with_value(key, place, item) for key, place, item in node.items())
    for item in node.value if isinstance(node.value, list) else [node]:
        _refuse_no_tag(text(item), item.place)
    return words(node)


def _refuse_no_tag(name: str, place: Location) -> None:
    if not _TAG.match(name):
        fix = "Use letters, digits, _ - . and at most one / in up to 63 characters."
        raise BadValue(f"the text {name!r} cannot be a tag", place, fix)


def _tag_with_value(key: str, place: Location, item: YamlNode) -> str:
    _refuse_no_tag(key, place)
    value = "" if item.value is None else label(item)
    if not _TAG_VALUE.match(value):
        fix = "Use letters, digits, _ - . in up to 63 characters."
        raise BadValue(f"{describe(item)} cannot be the value of a tag", item.place, fix)
    return f"{key}={value}" if value else key


def kinds(node: YamlNode) -> tuple[str, ...]:
    """One kind or a list of them."""
    items = node.value if isinstance(node.value, list) else [node]
    for item in items:
        if not _TAG_VALUE.match(text(item)) or not item.value:
            fix = "Use letters, digits, _ - . in up to 63 characters."
            raise BadValue(f"{describe(item)} cannot be a kind", item.place, fix)
    if len(items) > _MOST_KINDS:
        fix = "Delete some: Dagster shows at most ten. Three of them are those of the file itself."
        raise BadValue(f"{len(items)} kinds are too many", node.place, fix)
    return words(node)


def pool(node: YamlNode) -> str:
    if not re.fullmatch(r"\S+", text(node)):
        raise BadValue(f"{describe(node)} cannot be a pool", node.place, "Remove the white space.")
    return text(node)


def timezone(node: YamlNode) -> str:
    try:
        zoneinfo.ZoneInfo(text(node))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        if known:  # else this machine has no time zone data
            close = nearest(text(node), known)
            fix = f"Did you mean `{close[0]}`?" if close else "E.g. `Europe/Berlin`."
            raise BadValue(f"there is no time zone {node.value!r}", node.place, fix) from None
    return text(node)


def mapping(node: YamlNode) -> dict[str, Any]:
    """Keys and values of any kind."""
    if not isinstance(node.value, dict):
        raise BadValue(f"expected keys and values, got {describe(node)}", node.place)
    plain: dict[str, Any] = node.plain()
    return plain


def refuse_unknown(node: YamlNode, known: Collection[str]) -> None:
    """Raises BadValue for the first key of a dict that is not *known*."""
    for key, place, _ in node.items():
        if key not in known:
            raise _unknown(key, place, known)


def values_of(node: YamlNode, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The values of a dict, each read by its key's reader. Raises BadValue for an unknown key."""
    values: dict[str, Any] = {}
    for key, place, item in node.items():
        if key not in readers:
            raise _unknown(key, place, readers)
        values[key] = readers[key](item)
    return values


def _unknown(key: str, place: Location, known: Collection[str]) -> BadValue:
    return BadValue(f"unknown key `{key}`", place, suggest(key, known))


def texts_by_name(node: YamlNode) -> dict[str, str]:
    mapping(node)
    return {key: text(item) for key, _, item in node.items()}


def labels(node: YamlNode) -> dict[str, str]:
    """Texts by name; numbers and booleans become the text that was written."""
    mapping(node)
    for _, _, item in node.items():
        if isinstance(item.value, (dict, list)) or item.value is None:
            raise BadValue(f"expected text, got {describe(item)}", item.place)
    return {key: label(item) for key, _, item in node.items()}


def label(node: YamlNode) -> str:
    """A text; a number or boolean becomes the text that was written."""
    if isinstance(node.value, bool):
        return str(node.value).lower()
    return node.written or str(node.value)


def seconds(node: YamlNode) -> float:
    """A duration in seconds, of a number or a text such as 500ms, 30s, 5m, 2h, 1d."""
    if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        if 0 <= node.value < float("inf"):
            return float(node.value)
    elif isinstance(node.value, str) and (match := _DURATION.match(node.value.strip())):
        return float(match[1]) * _UNIT_SECONDS[match[2]]
    fix = "Write seconds as a number, or a text such as 30s, 5m or 2h."
    raise BadValue(f"expected a duration, got {describe(node)}", node.place, fix)


def positive_seconds(node: YamlNode) -> float:
    if not seconds(node):
        raise BadValue(
            "expected more than 0 seconds", node.place, "Delete the key to set no limit."
        )
    return seconds(node)


def variables(node: YamlNode) -> dict[str, Any]:
    """Values that can be written as SQL literals: scalars and lists of them."""
    mapping(node)
    rest = {key: item.plain() for key, _, item in node.items()}  # known, so not reported as unset
    for _, _, item in node.items():
        _refuse_nested(item, rest)
    return rest


_SCALARS = (str, int, float, bool, datetime.date, type(None))  # a datetime is a date


def _refuse_nested(node: YamlNode, rest: dict[str, Any]) -> None:
    for item in node.value if isinstance(node.value, list) else [node]:
        if not isinstance(item.value, _SCALARS):
            fix = "A variable is text, a number, true or false, a date, or a list of these."
            raise BadValue(f"{describe(item)} cannot be written as SQL", item.place, fix, rest)
