"""The words of dbt, dbt_utils and dbt_expectations for checks, with the names of their arguments.

docs/checks.md has this table for users; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dagster_models.project.checks import arguments as read
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue
from dagster_models.project.yaml.nodes import YamlNode, node_of

Convert = Callable[[YamlNode], YamlNode]

#: A threshold of the check's own severity, whichever that is.
TOO_MANY = "(too many)"


@dataclass(frozen=True, slots=True)
class Alias:
    """Another word for a kind of check.

    ``arguments``: their name -> our argument or key, perhaps with what makes our value of theirs.
    ``implied``: what their word says besides. ``ignored``: what they may say and means nothing
    here. ``note``: how it differs from theirs, for the docs.
    """

    kind: str
    arguments: Mapping[str, str | tuple[str, Convert]] = field(default_factory=dict)
    implied: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    note: str = ""

    def ours(self, name: str) -> str:
        """Our name for an argument of theirs."""
        found = self.arguments[name]
        return found if isinstance(found, str) else found[0]

    def translated(self, name: str, node: YamlNode) -> YamlNode:
        """The value of an argument as we write it. Raises BadValue."""
        found = self.arguments[name]
        return node if isinstance(found, str) else found[1](node)


def _bound(node: YamlNode) -> YamlNode:
    """A bound. dbt puts a text into the SQL as it stands, and here a text is a value."""
    if not isinstance(node.value, str):
        return node
    try:
        return YamlNode(read.number(node), node.place)
    except BadValue:
        what = f"{fields.describe(node)} is SQL here, and not a number"
        fix = "Write `range` with `min` and `max`, or an `expression`."
        raise BadValue(what, node.place, fix) from None


def _not(node: YamlNode) -> YamlNode:
    return YamlNode(not fields.boolean(node), node.place)


def _missing_share(node: YamlNode) -> YamlNode:
    """The least share of rows that pass, as the threshold of those that do not."""
    found = Decimal(repr(read.share(node)))
    if not found:
        raise BadValue("a share of 0 is always reached", node.place, "Delete the check.")
    return YamlNode(f"> {format((1 - found) * 100, 'f')}%", node.place)


_RANGE: dict[str, str | tuple[str, Convert]] = {
    "min_value": ("min", _bound),
    "max_value": ("max", _bound),
}
_WHERE: dict[str, str | tuple[str, Convert]] = {"row_condition": "where"}
_STRICTLY: dict[str, str | tuple[str, Convert]] = {"strictly": ("inclusive", _not)}
_SPAN = {"datepart": "datepart", "interval": "interval"}


def _aggregate(kind: str, **implied: Any) -> Alias:
    return Alias(kind, {**_RANGE, **_WHERE}, implied)


_UTILS: Mapping[str, Alias] = {
    "unique_combination_of_columns": Alias(
        "unique",
        {"combination_of_columns": "columns"},
        {"ignore_row_if": "never"},
        ("quote_columns",),
    ),
    "not_null_proportion": Alias("not_null", {"at_least": (TOO_MANY, _missing_share)}),
    "not_empty_string": Alias("length", {"trim_whitespace": "trim"}, {"min": 1, "trim": True}),
    "not_accepted_values": Alias("rejected_values", {"values": "values"}, {}, ("quote",)),
    "accepted_range": Alias("range", {**_RANGE, "inclusive": "inclusive"}),
    "relationships_where": Alias(
        "relationships",
        {"to": "to", "field": "field", "from_condition": "where", "to_condition": "to_where"},
    ),
    "expression_is_true": Alias("expression", {"expression": "sql"}),
    "equal_rowcount": Alias("row_count", {"compare_model": "equal_to"}),
    "fewer_rows_than": Alias("row_count", {"compare_model": "fewer_than"}),
    "sequential_values": Alias("sequential", {**_SPAN, "group_by_columns": "group_by"}),
    "recency": Alias("recency", {"field": "column", **_SPAN}, note="fails if there are no values"),
    "at_least_one": Alias("distinct_count", {}, {"min": 1}),
    "not_constant": Alias(
        "distinct_count", {}, {"min": 2}, note="also fails if there are no values"
    ),
    "equality": Alias(
        "equality",
        {"compare_model": "to", "compare_columns": "columns", "exclude_columns": "except"},
        note="rows that are there twice count twice",
    ),
}
_EXPECTATIONS: Mapping[str, Alias] = {
    "expect_column_values_to_be_unique": Alias("unique", _WHERE),
    "expect_compound_columns_to_be_unique": Alias(
        "unique",
        {"column_list": "columns", "ignore_row_if": "ignore_row_if", **_WHERE},
        {"ignore_row_if": "all_values_are_missing"},
        ("quote_columns",),
    ),
    "expect_column_values_to_not_be_null": Alias("not_null", _WHERE),
    "expect_column_values_to_be_in_set": Alias(
        "accepted_values", {"value_set": "values", **_WHERE}, {}, ("quote_values",)
    ),
    "expect_column_values_to_not_be_in_set": Alias(
        "rejected_values", {"value_set": "values", **_WHERE}, {}, ("quote_values",)
    ),
    "expect_column_values_to_be_between": Alias("range", {**_RANGE, **_STRICTLY, **_WHERE}),
    "expect_column_values_to_match_regex": Alias("regex", {"regex": "matches", **_WHERE}),
    "expect_column_values_to_not_match_regex": Alias("regex", {"regex": "not_matches", **_WHERE}),
    "expect_column_value_lengths_to_equal": Alias("length", {"value": "equals", **_WHERE}),
    "expect_column_value_lengths_to_be_between": Alias("length", {**_RANGE, **_STRICTLY, **_WHERE}),
    "expression_is_true": Alias("expression", {"expression": "sql", **_WHERE}),
    "expect_column_mean_to_be_between": _aggregate("mean"),
    "expect_column_sum_to_be_between": _aggregate("sum"),
    "expect_column_min_to_be_between": _aggregate("minimum"),
    "expect_column_max_to_be_between": _aggregate("maximum"),
    "expect_column_stdev_to_be_between": _aggregate("stddev"),
    "expect_column_median_to_be_between": _aggregate("quantile", at=0.5, interpolate=True),
    "expect_column_quantile_values_to_be_between": Alias(
        "quantile", {"quantile": "at", **_RANGE, **_WHERE}, {"interpolate": True}
    ),
    "expect_column_unique_value_count_to_be_between": _aggregate("distinct_count"),
    "expect_column_distinct_count_to_equal": Alias("distinct_count", {"value": "equals", **_WHERE}),
    "expect_table_row_count_to_be_between": _aggregate("row_count"),
    "expect_table_row_count_to_equal": Alias("row_count", {"value": "equals", **_WHERE}),
    "expect_table_row_count_to_equal_other_table": Alias(
        "row_count",
        {"compare_model": "equal_to", "compare_row_condition": "other_where", **_WHERE},
    ),
    "expect_row_values_to_have_recent_data": Alias("recency", {**_SPAN, **_WHERE}),
}

#: Their word, with its package -> what it is here. dbt's own four words are ours.
ALIASES: Mapping[str, Alias] = {
    **{f"dbt_utils.{name}": alias for name, alias in _UTILS.items()},
    **{f"dbt_expectations.{name}": alias for name, alias in _EXPECTATIONS.items()},
}


def join_span(nodes: dict[str, YamlNode], kind: str) -> None:
    """Put one span of time in the place of dbt's `datepart: day, interval: 1`. Raises BadValue."""
    part, interval = nodes.pop("datepart", None), nodes.pop("interval", None)
    if part is None and interval is None:
        return
    name = {"recency": "within", "sequential": "interval"}[kind]
    if part is None:
        assert interval is not None
        nodes[name] = interval
        return
    number = "1" if interval is None else str(read.count(interval))
    nodes[name] = node_of(f"{number} {fields.text(part).strip()}", part.place)
