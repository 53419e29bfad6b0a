"""The kinds of checks that look at one row alone. Except for not_null, NULL passes."""

from __future__ import annotations

from dagster_models.compilation.checks.accepted_values import is_accepted
from dagster_models.compilation.checks.bounds import outside
from dagster_models.compilation.checks.parts import CheckParts, CheckSql
from dagster_models.sql.fill_in import literal


def not_null(check: CheckParts) -> CheckSql:
    return check.rows(f"{check.column} is null")


def accepted_values(check: CheckParts) -> CheckSql:
    return check.rows(f"{check.column} is not null and not {_accepted(check)}")


def rejected_values(check: CheckParts) -> CheckSql:
    return check.rows(f"{check.column} is not null and {_accepted(check)}")


def _accepted(check: CheckParts) -> str:
    return is_accepted(check.arguments["values"], check.forms.of(check.column), check.dialect)


def range_of_values(check: CheckParts) -> CheckSql:
    offends = outside(check.column, check.arguments, check.forms, check.dialect)
    return check.rows(f"{check.column} is not null and ({offends})")


def length(check: CheckParts) -> CheckSql:
    """In characters, as Unicode counts them."""
    trims = check.arguments.get("trim", False)
    text = f"trim({check.column})" if trims else check.column
    offends = outside(f"char_length({text})", check.arguments, check.forms, check.dialect)
    return check.rows(f"{check.column} is not null and ({offends})")


def regex(check: CheckParts) -> CheckSql:
    matches = check.forms.of(check.column).matches
    offends = []
    for name, sign in {"matches": "not ", "not_matches": ""}.items():
        if name in check.arguments:
            pattern = literal(check.arguments[name], check.dialect)
            offends.append(f"{sign}({matches.format(pattern=pattern)})")
    return check.rows(f"{check.column} is not null and ({' or '.join(offends)})")


def expression(check: CheckParts) -> CheckSql:
    """As in a CHECK constraint, a condition that is NULL passes."""
    return check.rows(f"coalesce(not (\n{check.conditions['sql']}\n), false)")
