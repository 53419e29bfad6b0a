"""The words of dbt, dbt_utils and dbt_expectations for checks mean the same as ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dagster_models.core.checks import Check, Threshold
from dagster_models.core.model import Key, Location
from dagster_models.errors import Problem
from dagster_models.project.checks.aliases import ALIASES
from dagster_models.project.checks.read import Declarations
from dagster_models.project.yaml.nodes import read_yaml


def read(text: str, column: str = "") -> list[Check]:
    problems: list[Problem] = []
    node = read_yaml(text, "m.sql", problems.append)
    found = Declarations(Key("s", "m"), "error", problems.append).read([node], column)
    assert problems == []
    return [replace(check, location=Location("")) for check in found]


#: What stands under a column (of the model, if the first word is `model:`): theirs and ours.
PAIRS = {
    "dbt_utils.unique_combination_of_columns": (
        "model: {combination_of_columns: [a, b], quote_columns: true}",
        "unique: {columns: [a, b], ignore_row_if: never}",
    ),
    "dbt_utils.not_null_proportion": ("{at_least: 0.95}", 'not_null: {error_if: "> 5%"}'),
    "dbt_utils.not_empty_string": (
        "{trim_whitespace: false}",
        "length: {min: 1, trim: false}",
    ),
    "dbt_utils.not_accepted_values": (
        "{values: [a, b], quote: true}",
        "rejected_values: [a, b]",
    ),
    "dbt_utils.accepted_range": (
        '{min_value: 0, max_value: "1.5", inclusive: false}',
        "range: {min: 0, max: 1.5, inclusive: false}",
    ),
    "dbt_utils.relationships_where": (
        "{to: ref('orders'), field: id, from_condition: a > 1, to_condition: b > 2}",
        "relationships: {to: orders, field: id, where: a > 1, to_where: b > 2}",
    ),
    "dbt_utils.expression_is_true": (
        'model: {expression: "a > b", config: {where: "a > 0"}}',
        'expression: {sql: "a > b", where: "a > 0"}',
    ),
    "dbt_utils.equal_rowcount": (
        "model: {compare_model: \"{{ source('raw', 'orders') }}\"}",
        "row_count: {equal_to: raw.orders}",
    ),
    "dbt_utils.fewer_rows_than": (
        "model: {compare_model: ref('orders')}",
        "row_count: {fewer_than: orders}",
    ),
    "dbt_utils.sequential_values": (
        "{interval: 2, datepart: hour, group_by_columns: [g]}",
        "sequential: {interval: 2h, group_by: [g]}",
    ),
    "dbt_utils.recency": (
        "model: {field: at, datepart: day, interval: 3}",
        "recency: {column: at, within: 3 days}",
    ),
    "dbt_utils.at_least_one": ("{}", "distinct_count: {min: 1}"),
    "dbt_utils.not_constant": ("{}", "distinct_count: {min: 2}"),
    "dbt_utils.equality": (
        "model: {compare_model: ref('orders'), exclude_columns: [a]}",
        "equality: {to: orders, except: [a]}",
    ),
    "dbt_expectations.expect_column_values_to_be_unique": ("{}", "unique"),
    "dbt_expectations.expect_compound_columns_to_be_unique": (
        "model: {column_list: [a, b], row_condition: a > 1}",
        "unique: {columns: [a, b], ignore_row_if: all_values_are_missing, where: a > 1}",
    ),
    "dbt_expectations.expect_column_values_to_not_be_null": (
        "model: {column_name: c, row_condition: a > 1}",
        "not_null: {column: c, where: a > 1}",
    ),
    "dbt_expectations.expect_column_values_to_be_in_set": (
        "{value_set: [a, b], quote_values: true}",
        "accepted_values: [a, b]",
    ),
    "dbt_expectations.expect_column_values_to_not_be_in_set": (
        "{value_set: [a, b]}",
        "rejected_values: {values: [a, b]}",
    ),
    "dbt_expectations.expect_column_values_to_be_between": (
        "{min_value: 0, max_value: 10, strictly: true}",
        "range: {min: 0, max: 10, inclusive: false}",
    ),
    "dbt_expectations.expect_column_values_to_match_regex": ("{regex: ^a$}", "regex: ^a$"),
    "dbt_expectations.expect_column_values_to_not_match_regex": (
        "{regex: ^a$}",
        "regex: {not_matches: ^a$}",
    ),
    "dbt_expectations.expect_column_value_lengths_to_equal": ("{value: 3}", "length: {equals: 3}"),
    "dbt_expectations.expect_column_value_lengths_to_be_between": (
        "{min_value: 1, max_value: 3}",
        "length: {min: 1, max: 3}",
    ),
    "dbt_expectations.expression_is_true": (
        'model: {expression: "a > b", row_condition: "a > 0"}',
        'expression: {sql: "a > b", where: "a > 0"}',
    ),
    **{
        f"dbt_expectations.expect_column_{theirs}_to_be_between": (
            "{min_value: 1, max_value: 3, row_condition: a > 1}",
            f"{ours}{{min: 1, max: 3, where: a > 1}}",
        )
        for theirs, ours in {
            "mean": "mean: ",
            "sum": "sum: ",
            "min": "minimum: ",
            "max": "maximum: ",
            "stdev": "stddev: ",
            "unique_value_count": "distinct_count: ",
        }.items()
    },
    "dbt_expectations.expect_column_median_to_be_between": (
        "{max_value: 3}",
        "quantile: {at: 0.5, interpolate: true, max: 3}",
    ),
    "dbt_expectations.expect_column_quantile_values_to_be_between": (
        "{quantile: 0.95, max_value: 3}",
        "quantile: {at: 0.95, interpolate: true, max: 3}",
    ),
    "dbt_expectations.expect_column_distinct_count_to_equal": (
        "{value: 3}",
        "distinct_count: {equals: 3}",
    ),
    "dbt_expectations.expect_table_row_count_to_be_between": (
        "model: {min_value: 1}",
        "row_count: {min: 1}",
    ),
    "dbt_expectations.expect_table_row_count_to_equal": (
        "model: {value: 1}",
        "row_count: {equals: 1}",
    ),
    "dbt_expectations.expect_table_row_count_to_equal_other_table": (
        "model: {compare_model: ref('orders'), compare_row_condition: a > 1}",
        "row_count: {equal_to: orders, other_where: a > 1}",
    ),
    "dbt_expectations.expect_row_values_to_have_recent_data": (
        "{datepart: day, interval: 1, row_condition: a > 1}",
        "recency: {within: 1d, where: a > 1}",
    ),
}


def test_each_word_has_a_pair() -> None:
    assert set(PAIRS) == set(ALIASES)


@pytest.mark.parametrize("word", PAIRS)
def test_a_word_of_dbt_means_the_same_as_ours(word: str) -> None:
    theirs, ours = PAIRS[word]
    column = "" if theirs.startswith("model: ") else "c"
    given = theirs.removeprefix("model: ")
    (expected,) = read(f"- {ours}", column)
    assert read(f"- {word}: {given}", column) == [expected]
    # As dbt writes it since 1.10.
    nested = f"- {word}: {{arguments: {given}, config: {{severity: WARN, limit: 7}}}}"
    if "config" not in given and "at_least" not in given:
        assert read(nested, column) == [replace(expected, severity="warn", limit=7)]


def test_a_share_is_a_threshold_of_the_severity() -> None:
    (check,) = read("- dbt_utils.not_null_proportion: {at_least: 0.95, severity: warn}", "c")
    assert (check.warn_if, check.error_if) == (Threshold("5", percent=True), None)
    (check,) = read("- dbt_utils.not_null_proportion: {at_least: 1}", "c")
    assert (check.warn_if, check.error_if) == (None, Threshold("0", percent=True))


def test_an_expression_under_a_column_begins_with_it() -> None:
    (check,) = read('- dbt_utils.expression_is_true: {expression: "> 0"}', "c")
    assert check.arguments["sql"].endswith("that_this_check_is_about__ > 0")
    assert check.columns == ("c",)


@pytest.mark.parametrize(
    ("written", "above", "percent"),
    [
        ("> 10", "10", False),
        (">10", "10", False),
        (">= 10", "9", False),
        ("!= 0", "0", False),
        ("> 10.0", "10", False),
        ("> 1.50%", "1.5", True),
        ("> 0.001 %", "0.001", True),
        ("> 99.999%", "99.999", True),
        ("!=0%", "0", True),
    ],
)
def test_a_threshold_is_read_exactly(written: str, above: str, percent: bool) -> None:
    (check,) = read(f'- not_null: {{error_if: "{written}"}}', "c")
    assert check.error_if == Threshold(above, percent)
