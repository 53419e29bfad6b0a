"""A number of the relation beside what it was after earlier builds.

What is expected is decided here, from the values that the run has read in Dagster's event log: the
warehouse gets a query that compares with two numbers, and knows no history.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dagster_models.compilation.checks.bounds import number_sql
from dagster_models.compilation.checks.parts import CheckParts, CheckSql
from dagster_models.core.anomalies import DEVIATIONS, LAST, Expected, by_deviations, by_percent
from dagster_models.sql.fill_in import literal


def _row_count(check: CheckParts) -> str:
    return f"select count(*) as n from {check.own} as r"


def _null_share(check: CheckParts) -> str:
    missing = f"cast(count(*) - count({check.column}) as {check.forms.double_type})"
    share = f"{missing} / nullif(count(*), 0)"
    return f"select {share} as n from {check.own} as r"


def _freshness(check: CheckParts) -> str:
    newest = check.forms.of(f"max({check.column})").epoch
    seconds = f"{check.forms.of('now()').epoch} - {newest}"
    return f"select cast(floor({seconds}) as {check.forms.whole_type}) as n from {check.own} as r"


_MEASURES: Mapping[str, tuple[Callable[[CheckParts], str], str]] = {
    "row_count": (_row_count, "rows"),
    "null_share": (_null_share, "of the rows are NULL"),
    "freshness": (_freshness, "s since the newest row"),
}


def anomaly(check: CheckParts) -> CheckSql:
    measure, unit = _MEASURES[check.arguments.get("of", "row_count")]
    expected = _expected(check)
    offends = "false"
    if expected is not None:
        low, high = number_sql(expected.low), number_sql(expected.high)
        offends = f"coalesce(n < {low} or n > {high}, false)"
    text = literal(f" {unit}, {_said(expected, len(check.history))}", check.dialect)
    found = f"coalesce(cast(n as {check.forms.text_type}) || {text}, 'there is no row')"
    return check.number(measure(check), offends, found, "n", value="n")


def _expected(check: CheckParts) -> Expected | None:
    given = check.arguments
    last = given.get("last", LAST)
    if "within" in given:
        return by_percent(check.history, last, given["within"])
    return by_deviations(check.history, last, given.get("deviations", DEVIATIONS))


def _said(expected: Expected | None, values: int) -> str:
    if expected is not None:
        return str(expected)
    if not values:
        return "and nothing to compare with: no earlier build has reported a value"
    return f"and too little to compare with: {values} earlier values"
