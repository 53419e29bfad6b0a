"""The kinds of checks: what a declaration of each may say. ``compilation.checks`` has their SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dagster_models.core.anomalies import ANOMALY
from dagster_models.project.checks import arguments as read
from dagster_models.project.checks.regex import pattern
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader
from dagster_models.project.yaml.nodes import YamlNode

#: What a check is about: one column, one or several, the whole relation, or either of the two.
About = Literal["column", "columns", "relation", "any"]
Verify = Callable[[Mapping[str, Any], YamlNode], None]
"""Raises BadValue if arguments that are right alone are wrong together."""


def _anything(values: Mapping[str, Any], node: YamlNode) -> None:
    """Nothing is wrong."""


@dataclass(frozen=True, slots=True)
class CheckKind:
    """What a declaration of a kind of check may say, beside the keys that all checks have.

    ``needs``: what it must say, each a name of an argument or several of which one is enough.
    ``bare``: the argument that a single value stands for, as in `unique: [a, b]`. ``relations`` are
    the arguments that name another relation, ``columns`` those that name columns of its own one,
    and ``conditions`` the arguments in SQL, each with those arguments that name the relation which
    it is about, () for its own one. ``counts_rows``: it finds offending rows, so that a threshold
    may be a share of the rows.
    """

    about: About
    example: str
    arguments: Mapping[str, Reader] = field(default_factory=dict)
    needs: tuple[tuple[str, ...], ...] = ()
    bare: str = ""
    relations: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    conditions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    counts_rows: bool = True
    verify: Verify = _anything

    def about_with(self, values: Mapping[str, Any]) -> About:
        """What a check with these arguments is about: one of a number, as the number is."""
        if "of" in self.arguments:
            return "relation" if values.get("of") == "row_count" else "column"
        return self.about


_ONE_BOUND = ("equals", "equal_to", "fewer_than", "within")


def _of_what(values: Mapping[str, Any], node: YamlNode) -> None:
    if "deviations" in values and "within" in values:
        what = "`deviations` and `within` exclude each other"
        raise BadValue(what, node.value["within"].place, "Delete one.")
    if "within" not in values and values.get("last", 2) < 2:
        what = "one value has no standard deviation"
        raise BadValue(what, node.value["last"].place, "Write 2 or more, or use `within: 20%`.")


def _one_bound(values: Mapping[str, Any], node: YamlNode) -> None:
    read.refuse_crossed(values, node)
    chosen = [name for name in _ONE_BOUND if name in values]
    if "last" in values and "within" not in values:
        what = "`last` counts earlier values, which only `within` compares with"
        raise BadValue(what, node.value["last"].place, "Delete it.")
    bounds = [name for name in ("min", "max") if name in values]
    if len(chosen) > 1 or (chosen and bounds):
        names = "` and `".join((*chosen, *bounds))
        fix = "Write a check for each of them, with names of their own."
        raise BadValue(f"`{names}` exclude each other", node.place, fix)


def _length(values: Mapping[str, Any], node: YamlNode) -> None:
    _one_bound(values, node)
    least, most = values.get("min", -1), values.get("max")
    if values.get("inclusive") is False and most is not None and most - least < 2:
        what, fix = "no length is between the bounds", "Delete `inclusive: false`."
        raise BadValue(what, node.value["max"].place, fix)


def _columns_or_except(values: Mapping[str, Any], node: YamlNode) -> None:
    if "columns" in values and "except" in values:
        raise BadValue("`columns` and `except` exclude each other", node.place, "Delete one.")


_BOUNDS: dict[str, Reader] = {"min": read.bound, "max": read.bound}
_NUMBERS: dict[str, Reader] = {"min": read.number, "max": read.number}
_COUNTS: dict[str, Reader] = {"min": read.count, "max": read.count}
_IGNORED_ROWS = ("any_value_is_missing", "all_values_are_missing", "never")


def _aggregate(name: str, bounds: Mapping[str, Reader]) -> CheckKind:
    return CheckKind(
        "column",
        f"{{{name}: {{min: 0, max: 100}}}}",
        bounds,
        (("min", "max"),),
        counts_rows=False,
        verify=read.refuse_crossed,
    )


KINDS: Mapping[str, CheckKind] = {
    "unique": CheckKind(
        "columns",
        "{unique: [a, b]}",
        {"ignore_row_if": fields.OneOf(*_IGNORED_ROWS)},
        bare="columns",
    ),
    "not_null": CheckKind("column", "not_null"),
    "accepted_values": CheckKind(
        "column",
        "{accepted_values: {values: [a, b]}}",
        {"values": read.values},
        (("values",),),
        bare="values",
    ),
    "rejected_values": CheckKind(
        "column",
        "{rejected_values: {values: [a, b]}}",
        {"values": read.values},
        (("values",),),
        bare="values",
    ),
    "range": CheckKind(
        "column",
        "{range: {min: 0, max: 100}}",
        {**_BOUNDS, "inclusive": fields.boolean},
        (("min", "max"),),
        verify=read.refuse_crossed,
    ),
    "length": CheckKind(
        "column",
        "{length: {min: 1, max: 3}}",
        {
            **_COUNTS,
            "equals": read.count,
            "inclusive": fields.boolean,
            "trim": fields.boolean,
        },
        (("min", "max", "equals"),),
        verify=_length,
    ),
    "regex": CheckKind(
        "column",
        "{regex: {matches: '^[A-Z]+$'}}",
        {"matches": pattern, "not_matches": pattern},
        (("matches", "not_matches"),),
        bare="matches",
    ),
    "relationships": CheckKind(
        "column",
        "{relationships: {to: model, field: column}}",
        {"to": read.relation, "field": fields.text, "to_where": read.sql},
        (("to",), ("field",)),
        relations=("to",),
        conditions={"to_where": ("to",)},
    ),
    "expression": CheckKind(
        "any",
        '{expression: {sql: "arrival >= departure"}}',
        {"sql": read.sql},
        (("sql",),),
        bare="sql",
        conditions={"sql": ()},
    ),
    "sequential": CheckKind(
        "column",
        "{sequential: {interval: 1}}",
        {"interval": read.step, "group_by": read.columns},
        columns=("group_by",),
    ),
    "row_count": CheckKind(
        "relation",
        "{row_count: {min: 1}}",
        {
            **_COUNTS,
            "equals": read.count,
            "equal_to": read.relation,
            "fewer_than": read.relation,
            "other_where": read.sql,
            "within": read.percent,
            "last": read.at_least(1),
        },
        (("min", "max", "equals", "equal_to", "fewer_than", "within"),),
        relations=("equal_to", "fewer_than"),
        conditions={"other_where": ("equal_to", "fewer_than")},
        counts_rows=False,
        verify=_one_bound,
    ),
    ANOMALY: CheckKind(
        "any",
        "{anomaly: {of: row_count, last: 20, deviations: 3}}",
        {
            "of": fields.OneOf("row_count", "null_share", "freshness"),
            "last": read.at_least(1),
            "deviations": read.positive,
            "within": read.percent,
        },
        (("of",),),
        bare="of",
        counts_rows=False,
        verify=_of_what,
    ),
    "recency": CheckKind(
        "column",
        "{recency: {within: 24h}}",
        {"within": read.span},
        (("within",),),
        bare="within",
        counts_rows=False,
    ),
    **{name: _aggregate(name, _NUMBERS) for name in ("mean", "sum", "stddev")},
    **{name: _aggregate(name, _BOUNDS) for name in ("minimum", "maximum")},
    "quantile": CheckKind(
        "column",
        "{quantile: {at: 0.95, max: 60}}",
        {"at": read.share, **_NUMBERS, "interpolate": fields.boolean},
        (("at",), ("min", "max")),
        counts_rows=False,
        verify=read.refuse_crossed,
    ),
    "distinct_count": CheckKind(
        "column",
        "{distinct_count: {min: 2}}",
        {**_COUNTS, "equals": read.count},
        (("min", "max", "equals"),),
        counts_rows=False,
        verify=_one_bound,
    ),
    "equality": CheckKind(
        "relation",
        "{equality: {to: model}}",
        {"to": read.relation, "columns": read.columns, "except": read.columns},
        (("to",),),
        bare="to",
        relations=("to",),
        columns=("columns", "except"),
        verify=_columns_or_except,
    ),
}
