"""The answers of queries that ask the warehouse only to count between two dates that stand in them.

`date_spine` of dbt and of dbt_utils asks for one while dbt compiles. Anything that is not in one of
these forms, such as `current_date`, is the warehouse's to answer.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping

#: A date that stands in a query, and below the number of its day between two marks.
_DATE = r"'\d{4}-\d\d-\d\d(?: 00:00:00)?'"
_DAY = r"@\d+@"
_KIND = r"(?:date|timestamp|datetime)"
#: What is the same date once more: casts and brackets.
_SAME = tuple(
    re.compile(it)
    for it in (
        rf"cast\( ?({_DAY}|{_DATE}) as {_KIND} ?\)",
        rf"\b{_KIND} ({_DATE})",
        rf"({_DAY}|{_DATE}) ?:: ?{_KIND}\b",
        rf"(?<!\w)\( ?({_DAY}|{_DATE}) ?\)",
    )
)
_OF_SLASHES = re.compile(r"to_date\( ?'(\d\d)/(\d\d)/(\d{4})' ?, ?'mm/dd/yyyy' ?\)")
_PART = "'?(?P<part>day|month|quarter|year|hour)'?"
_FROM, _TO = rf"(?P<begin>{_DAY}|{_DATE})", rf"(?P<end>{_DAY}|{_DATE})"
_DATEDIFF = rf"datediff\( ?{_PART} ?, ?{_FROM} ?, ?{_TO} ?\)"
#: Adapter -> what its `datediff()` writes. Each counts how many bounds of the part are passed.
_FORMS: Mapping[str, re.Pattern[str]] = {
    adapter: re.compile(f"select {form} ?;?")
    for adapter, form in {
        "duckdb": rf"\(date_diff\( ?{_PART} ?, ?{_FROM} ?, ?{_TO} ?\)\)",
        "postgres": rf"\( ?{_TO} ?- ?{_FROM} ?\)",
        "snowflake": _DATEDIFF,
        "redshift": _DATEDIFF,
        "bigquery": rf"datetime_diff\( ?{_TO} ?, ?{_FROM} ?, ?{_PART} ?\)",
        "trino": rf"\(\(to_milliseconds\(\( ?{_TO} ?- ?{_FROM} ?\)\)\) ?/ ?86400000\)",
    }.items()
}
_COUNTS: Mapping[str, Callable[[dt.date], int]] = {
    "day": lambda it: it.toordinal(),
    "month": lambda it: it.year * 12 + it.month,
    "quarter": lambda it: it.year * 4 + (it.month - 1) // 3,
    "year": lambda it: it.year,
    "hour": lambda it: it.toordinal() * 24,
}


def counted_between(sql: str, adapter: str) -> int | None:
    """The one value of a query of dbt's `datediff()` between two dates without a time; None if it
    is no such query, or if it has a date that there is not."""
    form = _FORMS.get(adapter)
    if form is None or "@" in sql:  # which marks days here
        return None
    try:
        found = form.fullmatch(_with_days(" ".join(sql.lower().split())))
        if found is None:
            return None
        count = _COUNTS[found.groupdict().get("part") or "day"]
        return count(_date(found["end"])) - count(_date(found["begin"]))
    except ValueError:
        return None


def _with_days(text: str) -> str:
    """The text with each date in the place of its casts. Raises ValueError for what is no date."""
    text = _OF_SLASHES.sub(r"cast('\3-\1-\2' as date)", text)
    before = ""
    while before != text:
        before = text
        for same in _SAME:
            text = same.sub(lambda it: f"@{_date(it[1]).toordinal()}@", text)
    return text


def _date(word: str) -> dt.date:
    if word.startswith("@"):
        return dt.date.fromordinal(int(word.strip("@")))
    return dt.date.fromisoformat(word[1:11])
