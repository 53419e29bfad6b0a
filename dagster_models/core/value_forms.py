"""How each warehouse writes a value as text, in SQL: what exact comparisons rest on.

A comparison of two types casts one of them, and a cast may lose what is compared. Two texts of one
form are equal only if the values are (see compilation/checks/accepted_values.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class ValueForms:
    """How a warehouse writes the value of ``value_field`` as text, in SQL.

    ``is_number`` and ``is_moment`` are conditions on the column's type. ``number`` and ``moment``
    are the texts in these cases, and ``texts`` are those in all others: one of them must be listed.
    ``exponents`` says whether a large number may be written with one. ``not_finite`` maps what
    Python calls such a number to the warehouse's word.

    ``is_zoned`` is the condition that a moment has a time zone, and ``is_real`` that a number has
    the type whose literals are no doubles; "" where the warehouse compares it with a literal as
    with another value of its type. ``matches`` is the condition that a text has a part which a
    regular expression describes, in which a dot is any character.

    ``family`` is what values of types have in common that the warehouse compares without loss.
    ``joined_number`` is ``number``, and the same text for equal numbers of different types.
    """

    texts: tuple[str, ...]
    family: str
    is_number: str
    number: str
    joined_number: str
    is_moment: str
    moment: str
    exponents: bool
    not_finite: Mapping[str, str]
    is_zoned: str
    is_real: str
    matches: str

    def of(self, value: str) -> ValueForms:
        """The same for another value than ``value_field``."""
        texts = ("family", "is_number", "number", "joined_number", "is_moment", "moment")
        changed: dict[str, Any] = {
            name: getattr(self, name).replace("value_field", value)
            for name in (*texts, "is_zoned", "is_real", "matches")
        }
        changed["texts"] = tuple(text.replace("value_field", value) for text in self.texts)
        return replace(self, **changed)


# Without the zeros at the end of a fraction.
_DUCKDB_NUMBER = (
    r"regexp_replace(regexp_replace(cast(value_field as varchar),"
    r" '^(-?\d+\.\d*?)0+$', '\1'), '\.$', '')"
)
_POSTGRES_NUMBER = "trim_scale(cast(cast(to_jsonb(value_field) as text) as numeric))::text"

DUCKDB = ValueForms(
    texts=("cast(value_field as varchar)",),
    family=(
        "case when regexp_full_match(typeof(value_field), 'U?(TINY|SMALL|BIG)?INT(EGER)?|HUGEINT')"
        " then 'whole' when typeof(value_field) like 'DECIMAL(%' then 'decimal'"
        " else typeof(value_field) end"
    ),
    is_number=(
        "regexp_full_match(typeof(value_field), "
        "'U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL.*|FLOAT|DOUBLE|BIGNUM|VARINT')"
    ),
    number=_DUCKDB_NUMBER,
    # A double may be written with an exponent, and zero with a sign.
    joined_number=(
        f"coalesce(cast(try_cast(case when {_DUCKDB_NUMBER} like '%e+%' or {_DUCKDB_NUMBER} = '-0'"
        " then try_cast(cast(value_field as varchar) as double) end as hugeint) as varchar),"
        f" {_DUCKDB_NUMBER})"
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
    is_zoned="typeof(value_field) = 'TIMESTAMP WITH TIME ZONE'",
    is_real="",
    matches="regexp_matches(value_field, {pattern}, 's')",
)

POSTGRES = ValueForms(
    # A cast is not always what the server prints: of an inet, only the cast names the netmask.
    texts=("cast(value_field as text)", "format('%s', value_field)"),
    family=(
        "case when cast(pg_typeof(value_field) as text) in"
        " ('smallint', 'integer', 'bigint', 'numeric') then 'number'"
        " when cast(pg_typeof(value_field) as text) in"
        " ('text', 'character varying', 'character', 'name') then 'text'"
        " else cast(pg_typeof(value_field) as text) end"
    ),
    # A domain counts as its base type.
    is_number="jsonb_typeof(to_jsonb(value_field)) = 'number'",
    number=_POSTGRES_NUMBER,
    joined_number=_POSTGRES_NUMBER,
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
    is_zoned="pg_typeof(value_field) = 'timestamptz'::regtype",
    is_real="pg_typeof(value_field) = 'real'::regtype",
    matches="value_field ~ {pattern}",
)
