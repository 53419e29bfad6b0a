"""The kinds of checks that compare one number of the whole relation. NULL does not count."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dagster_models.compilation.checks.anomaly import anomaly
from dagster_models.compilation.checks.bounds import number_sql, outside
from dagster_models.compilation.checks.parts import CheckParts, CheckSql


def row_count(check: CheckParts) -> CheckSql:
    if "within" in check.arguments:
        return anomaly(check)
    inner = f"select count(*) as row_count from {check.aliased}"
    for name, sign in {"equal_to": "<>", "fewer_than": ">="}.items():
        if name in check.others:
            condition = check.conditions.get("other_where")
            where = f" where (\n{condition}\n)" if condition else ""
            other = f"select count(*) from {check.others[name].sql} as other_rows{where}"
            inner = f"select ({inner}) as row_count, ({other}) as other_count"
            rows, others = _text("row_count", check), _text("other_count", check)
            found = f"{rows} || ' rows, and ' || {others} || ' in the other relation'"
            offends = f"row_count {sign} other_count"
            return check.number(inner, offends, found, "row_count, other_count")
    offends = outside("row_count", check.arguments, check.forms, check.dialect)
    return check.number(inner, offends, f"{_text('row_count', check)} || ' rows'", "row_count")


def distinct_count(check: CheckParts) -> CheckSql:
    inner = f"select count(distinct {check.column}) as distinct_count from {check.aliased}"
    offends = outside("distinct_count", check.arguments, check.forms, check.dialect)
    found = f"{_text('distinct_count', check)} || ' distinct values'"
    return check.number(inner, offends, found, "distinct_count")


def mean(check: CheckParts) -> CheckSql:
    """The sum is compared with the bound times the number of values: a division would round."""
    column = check.column
    inner = f"select sum({column}) as total, count({column}) as n_values from {check.aliased}"
    signs = {"min": "<", "max": ">"}
    offends = " or ".join(
        f"total {sign} {number_sql(check.arguments[name])} * n_values"
        for name, sign in signs.items()
        if name in check.arguments
    )
    shown = "total / nullif(n_values, 0) as mean, n_values"
    found = f"coalesce({_text('total / nullif(n_values, 0)', check)}, 'no values')"
    return check.number(inner, f"coalesce({offends}, false)", found, shown)


def _total(name: str, sql: str) -> Callable[[CheckParts], CheckSql]:
    def compile_total(check: CheckParts) -> CheckSql:
        inner = f"select {sql.format(column=check.column)} as {name} from {check.aliased}"
        return _beside_bounds(check, name, inner)

    return compile_total


def quantile(check: CheckParts) -> CheckSql:
    kind = "cont" if check.arguments.get("interpolate") else "disc"
    at = number_sql(check.arguments.get("at", 0))
    words = {"kind": kind, "at": at, "column": check.column, "rows": check.aliased}
    return _beside_bounds(check, "quantile", check.forms.quantile.format(name="quantile", **words))


def _beside_bounds(check: CheckParts, name: str, inner: str) -> CheckSql:
    offends = outside(name, check.arguments, check.forms, check.dialect)
    found = f"coalesce({_text(name, check)}, 'no values')"
    return check.number(inner, f"coalesce({offends}, false)", found, name)


TOTALS: Mapping[str, Callable[[CheckParts], CheckSql]] = {
    "mean": mean,
    "sum": _total("total", "sum({column})"),
    "minimum": _total("minimum", "min({column})"),
    "maximum": _total("maximum", "max({column})"),
    "stddev": _total("deviation", "stddev_samp({column})"),
    "quantile": quantile,
}


def recency(check: CheckParts) -> CheckSql:
    """A time without a zone, or a date, is of UTC. A column without values is not recent."""
    forms = check.forms.of("latest")
    no_moment = f"'neither a date nor a time: ' || {_text('latest', check)}"
    moment = forms.moment
    if forms.is_zoned:
        moment = f"case when {forms.is_zoned} then {moment} else {moment} || '+00' end"
    written = f"case when {forms.is_moment} then {moment} else {no_moment} end"
    inner = (
        f"select latest, {forms.instant.format(text=written)} as latest_at\n"
        f"from (select max({check.column}) as latest from {check.aliased}) as latest_of_all"
    )
    least = f"now() - {forms.interval.format(span=check.arguments['within'])}"
    found = f"coalesce('the latest is ' || {_text('latest', check)}, 'no values')"
    return check.number(inner, f"coalesce(latest_at < {least}, true)", found, "latest")


def _text(value: str, check: CheckParts) -> str:
    return f"cast({value} as {check.forms.text_type})"
