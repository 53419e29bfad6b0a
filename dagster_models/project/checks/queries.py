"""Queries of checks/*.sql with arguments: a kind of check of the project's own.

/* @check
arguments: {least: number, column: column}
*/
select * from $this where $column < $least
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.checks import NamedArgument, Severity
from dagster_models.core.model import Location, Reference
from dagster_models.project.checks import arguments as read
from dagster_models.project.checks.keys import KEYS
from dagster_models.project.checks.kinds import KINDS, CheckKind
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode

#: What stands in the text for the relation that is checked.
THIS = "this"


def _date(node: YamlNode) -> datetime.date:
    if not isinstance(node.value, datetime.date):
        what = f"expected a date, got {fields.describe(node)}"
        raise BadValue(what, node.place, "Write it as 2024-01-31.")
    return node.value


def _value(node: YamlNode) -> Any:
    alone = YamlNode({"value": node}, node.place, {"value": node.place})
    return fields.variables(alone)["value"]


def _column(node: YamlNode) -> NamedArgument:
    return NamedArgument("column", (fields.text(node),))


def _columns(node: YamlNode) -> NamedArgument:
    return NamedArgument("columns", read.columns(node))


def _relation(node: YamlNode) -> NamedArgument:
    return NamedArgument("relation", (read.relation(node),))


TYPES: Mapping[str, Reader] = {
    "text": fields.text,
    "number": read.number,
    "boolean": fields.boolean,
    "date": _date,
    "value": _value,
    "values": read.values,
    "column": _column,
    "columns": _columns,
    "relation": _relation,
}


@dataclass(frozen=True, slots=True)
class QueryArgument:
    """``default`` is None if each check must give a value."""

    type: str
    default: Any = None


def query_arguments(node: YamlNode) -> dict[str, QueryArgument]:
    """``arguments:`` of a query: its type, or `{type: ..., default: ...}`, by name."""
    if not isinstance(node.value, dict):
        fix = f"Write `arguments: {{name: type}}`. Types: {', '.join(TYPES)}."
        what = f"expected names and types, got {fields.describe(node)}"
        raise BadValue(what, node.place, fix)
    found = {}
    for name, place, item in node.items():
        if not name.isidentifier() or not name.isascii() or name == THIS:
            what = f"{name!r} cannot be the name of an argument"
            raise BadValue(what, place, "Use letters, digits and _, and not `this`.")
        if name in (*KEYS, "arguments", "config"):
            what = f"`{name}` is a key of every check"
            raise BadValue(what, place, "Give the argument another name.")
        found[name] = _argument(item)
    return found


def _argument(node: YamlNode) -> QueryArgument:
    type_of = fields.OneOf(*TYPES)
    if not isinstance(node.value, dict):
        return QueryArgument(type_of(node))
    fields.refuse_unknown(node, ("type", "default"))
    if "type" not in node.value:
        raise BadValue("`type` is missing", node.place, f"Types: {', '.join(TYPES)}.")
    type_ = type_of(node.value["type"])
    default = node.value.get("default")
    return QueryArgument(type_, None if default is None else TYPES[type_](default))


@dataclass(frozen=True, slots=True)
class CheckQuery:
    """A file of checks/ with arguments. ``references`` are the relations that its text reads."""

    name: str
    location: Location
    text: str
    arguments: Mapping[str, QueryArgument] = field(default_factory=dict)
    severity: Severity | None = None
    description: str = ""
    references: tuple[Reference, ...] = ()

    @property
    def kind(self) -> CheckKind:
        """What a declaration may say that uses it."""
        of = {name: argument.type for name, argument in self.arguments.items()}
        return CheckKind(
            "any",
            f"{{{self.name}: {{{', '.join(f'{name}: ...' for name in of)}}}}}",
            {name: TYPES[type_] for name, type_ in of.items()},
            tuple((name,) for name, it in self.arguments.items() if it.default is None),
        )


def refuse_known(name: str, place: Location) -> None:
    """Raises BadValue if a query has the name of a kind of check."""
    if name in KINDS:
        what = f"`{name}` is a kind of check already"
        raise BadValue(what, place, "Give the query another name.")
