"""The kinds of checks that compare rows with other rows of their relation, or of another one."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.compilation.checks.bounds import number_sql
from dagster_models.compilation.checks.parts import CheckParts, CheckSql
from dagster_models.compilation.checks.relationships import (
    are_alike,
    orphans,
    orphans_across_types,
)


def unique(check: CheckParts) -> CheckSql:
    """One row, with a count, for each value or combination that occurs twice or more. In a window:
    for those of the new rows, which are looked for in all of the relation."""
    every = ", ".join(check.columns)
    how = check.arguments.get("ignore_row_if", "any_value_is_missing")
    word = {"any_value_is_missing": " and ", "all_values_are_missing": " or ", "never": ""}[how]
    kept = [word.join(f"{column} is not null" for column in check.columns)] if word else []
    having = ["count(*) > 1"]
    if check.in_window and word == " and ":  # no NULL among them: cheap to look up
        keys = every if len(check.columns) == 1 else f"({every})"
        kept.append(f"{keys} in (select {every} from {check.new} as new_rows)")
    elif check.in_window:
        same = (
            check.forms.same.format(one=f"new_rows.{it}", other=f"own_rows.{it}")
            for it in check.columns
        )
        having.append(f"exists (select 1 from {check.new} as new_rows where {' and '.join(same)})")
    shown = f"{check.column} as unique_field" if len(check.columns) == 1 else every
    where = "where " + "\nand ".join(kept) + "\n" if kept else ""
    return CheckSql(
        f"select {shown}, count(*) as n_records\nfrom {check.own} as own_rows\n{where}"
        f"group by {every}\nhaving " + "\nand ".join(having)
    )


def relationships(check: CheckParts) -> CheckSql:
    to = check.others["to"]
    parent = to.sql
    if "to_where" in check.conditions:
        condition = check.conditions["to_where"]
        parent = f"(select * from {parent} as all_parents where (\n{condition}\n))"
    compared = (check.own, check.column, parent, to.columns[0])
    return CheckSql(
        orphans(*compared),
        alike=are_alike(check.forms, *compared),
        across=orphans_across_types(check.forms, *compared),
    )


def sequential(check: CheckParts) -> CheckSql:
    """One row for each value that does not follow the one before it, in the order of the values."""
    interval = check.arguments.get("interval", 1)
    groups = check.named.get("group_by", ())
    over = f"partition by {', '.join(groups)} " if groups else ""
    column = check.column
    if isinstance(interval, str):
        follows = f"value_field = previous_value + {check.forms.interval.format(span=interval)}"
    else:  # what is larger than another value can be made smaller without an overflow
        follows = f"value_field - {number_sql(interval)} = previous_value"
    shown = "".join(f"{group}, " for group in groups)
    return CheckSql(
        f"select {shown}previous_value, value_field\nfrom (\n"
        f"  select {shown}{column} as value_field,\n"
        f"    lag({column}) over ({over}order by {column}) as previous_value\n"
        f"  from {check.aliased} where {column} is not null\n) as in_order\n"
        "where previous_value is not null\n"
        f"and not case when value_field > previous_value then {follows} else false end"
    )


def equality(check: CheckParts) -> CheckSql:
    """The rows of either relation that the other one does not have as often."""
    to = check.others["to"]
    pairs = list(zip(check.named["compared"], to.columns, strict=True))
    mine = [column for column, _ in pairs], check.aliased
    theirs = [field for _, field in pairs], f"{to.sql} as other_rows"
    alike = (
        are_alike(check.forms, check.own, column, to.sql, field).removeprefix("select ")
        for column, field in pairs
    )
    return CheckSql(
        _apart(*(f"select {', '.join(columns)} from {rows}" for columns, rows in (mine, theirs))),
        alike="select " + "\nand ".join(alike),
        across=_apart(*(_as_texts(check, *each) for each in (mine, theirs))),
    )


def _apart(mine: str, theirs: str) -> str:
    return (
        f"select 'only here' as found_in, only_here.* from (\n{mine}\nexcept all\n{theirs}\n)"
        " as only_here\nunion all\n"
        f"select 'only there' as found_in, only_there.* from (\n{theirs}\nexcept all\n{mine}\n)"
        " as only_there"
    )


def _as_texts(check: CheckParts, columns: Sequence[str], rows: str) -> str:
    """The rows with each value in the form that its type has in common with others."""
    texts = []
    for number, column in enumerate(columns):
        forms = check.forms.of(column)
        texts.append(
            f"case when {forms.is_number} then {forms.joined_number}"
            f" when {forms.is_moment} then {forms.moment} else {forms.texts[0]} end"
            f" as value_{number}"
        )
    return f"select {', '.join(texts)} from {rows}"
