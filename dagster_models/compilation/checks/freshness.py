"""How old the newest row of a source is, in seconds: what its thresholds are compared with."""

from __future__ import annotations

from dagster_models.compilation.checks.parts import CheckParts, CheckSql
from dagster_models.core.freshness import LOADED_AT
from dagster_models.core.value_forms import ValueForms

#: What a relation without a row is taken for: as old as the year 1, as in dbt.
_NEVER = -62135596800


def freshness(check: CheckParts) -> CheckSql:
    newest = f"select max(\n{check.conditions[LOADED_AT]}\n) as newest\nfrom {check.own} as r"
    return _age(newest, check.forms)


def of_query(query: str, forms: ValueForms) -> CheckSql:
    """*query* returns the moment itself, as one row of one column."""
    asked = f"with asked(loaded_at) as (\n{query}\n)"  # some servers name columns of no other
    return _age(f"{asked}\nselect max(loaded_at) as newest from asked", forms)


def _age(newest: str, forms: ValueForms) -> CheckSql:
    """A time without a zone is one of UTC."""
    text, now, of = forms.text_type, forms.of("now()").epoch, forms.of("newest").epoch
    sql = (
        "select seconds, case when newest is null then 'there is no row' else"
        f" 'the newest row is ' || cast(seconds as {text}) || ' s ('"
        f" || cast(round(seconds / 3600.0, 1) as {text}) || ' h) old, of '"
        f" || cast(newest as {text}) end as found\n"
        # The clock of who loads may be ahead of this one: then the newest row is of now.
        f"from (select newest, greatest(0, cast(floor({now}"
        f" - coalesce({of}, {_NEVER})) as {forms.whole_type})) as seconds\n"
        f"from (\n{newest}\n) as found_in_all) as answered"
    )
    return CheckSql("", number=sql)  # no row of it is a failing one
