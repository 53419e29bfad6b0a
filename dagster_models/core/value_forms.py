"""How each warehouse writes a value as text, in SQL: what exact comparisons rest on.

A comparison of two types casts one of them, and a cast may lose what is compared. Two texts of one
form are equal only if the values are (see compilation/accepted_values.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ValueForms:
    """How a warehouse writes the value of ``value_field`` as text, in SQL.

    ``is_number`` and ``is_moment`` are conditions on the column's type. ``number`` and ``moment``
    are the texts in these cases, and ``texts`` are those in all others: one of them must be listed.
    ``exponents`` says whether a large number may be written with one. ``not_finite`` maps what
    Python calls such a number to the warehouse's word.
    """

    texts: tuple[str, ...]
    is_number: str
    number: str
    is_moment: str
    moment: str
    exponents: bool
    not_finite: Mapping[str, str]


DUCKDB = ValueForms(
    texts=("cast(value_field as varchar)",),
    is_number=(
        "regexp_full_match(typeof(value_field), "
        "'U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE|BIGNUM|VARINT')"
    ),
    # Without the zeros at the end of a fraction.
    number=(
        r"regexp_replace(regexp_replace(cast(value_field as varchar),"
        r" '^(-?\d+\.\d*?)0+$', '\1'), '\.$', '')"
    ),
    is_moment="regexp_full_match(typeof(value_field), 'DATE|TIMESTAMP.*')",
    moment=(
        "case when typeof(value_field) = 'DATE' then cast(value_field as varchar) || ' 00:00:00'"
        " when typeof(value_field) = 'TIMESTAMP WITH TIME ZONE' then cast(timezone('UTC',"
        " cast(cast(value_field as varchar) as timestamptz)) as varchar) || '+00'"
        " else cast(value_field as varchar) end"
    ),
    exponents=True,
    not_finite={"nan": "nan", "inf": "inf", "-inf": "-inf"},
)

POSTGRES = ValueForms(
    # A cast is not always what the server prints: of an inet, only the cast names the netmask.
    texts=("cast(value_field as text)", "format('%s', value_field)"),
    # A domain counts as its base type.
    is_number="jsonb_typeof(to_jsonb(value_field)) = 'number'",
    number="trim_scale(cast(cast(to_jsonb(value_field) as text) as numeric))::text",
    is_moment=(
        "cast(pg_typeof(value_field) as text) in"
        " ('date', 'timestamp without time zone', 'timestamp with time zone')"
    ),
    moment=(
        "case cast(pg_typeof(value_field) as text)"
        " when 'date' then cast(value_field as text) || ' 00:00:00'"
        " when 'timestamp with time zone' then cast(timezone('UTC',"
        " cast(cast(value_field as text) as timestamptz)) as text) || '+00'"
        " else cast(value_field as text) end"
    ),
    exponents=False,
    not_finite={"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"},
)
