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

    ``is_text``, ``is_whole``, ``is_moment``, ``is_boolean`` and ``is_number`` are conditions on the
    column's type, of which the last one may take the longest. ``number`` and ``moment`` are the
    texts in these cases, and the first of ``texts`` is that of a boolean, a text or a whole number.
    In all others one of ``texts`` must be listed.
    ``exponents`` says whether a large number may be written with one. ``not_finite`` maps what
    Python calls such a number to the warehouse's word.

    ``is_zoned`` is the condition that a moment has a time zone, "" where none has: each is of UTC.
    ``is_real`` is the condition that a number has the type whose literals are no doubles; "" where
    the warehouse compares it with a literal as with another value of its type. ``matches`` is the
    condition that a text has a part which a regular expression describes, in which a dot is any
    character.

    ``printed`` is what the warehouse's own shell shows, NULL for NULL. ``text_type`` is the type of
    a text of any length, ``double_type`` that of a double, and ``whole_type`` what a cast to a
    whole number of 64 bits names. ``epoch`` is a date or time as seconds since 1970, one without a
    zone as one of UTC. ``instant`` is the moment that ``{text}`` says, of which one with a zone
    ends in +00, and ``interval`` a ``{span}`` of time, such as `12 hour`. ``quantile`` is the query
    of one row for ``{rows}`` of what stands in FROM. ``same`` is the condition that two values are
    the same, or both NULL.

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
    is_boolean: str
    is_text: str
    is_whole: str
    exponents: bool
    not_finite: Mapping[str, str]
    is_zoned: str
    is_real: str
    matches: str
    printed: str
    text_type: str = "varchar"
    double_type: str = "double precision"
    whole_type: str = "bigint"
    epoch: str = "extract(epoch from value_field)"
    instant: str = "cast({text} as timestamptz)"
    interval: str = "interval '{span}'"
    quantile: str = (
        "select percentile_{kind}({at}) within group (order by {column}) as {name} from {rows}"
    )
    same: str = "{one} is not distinct from {other}"

    def of(self, value: str) -> ValueForms:
        """The same for another value than ``value_field``."""
        texts = ("family", "is_number", "number", "joined_number", "is_moment", "moment")
        more = (
            "is_boolean",
            "is_text",
            "is_whole",
            "is_zoned",
            "is_real",
            "matches",
            "printed",
            "epoch",
        )
        changed: dict[str, Any] = {
            name: getattr(self, name).replace("value_field", value) for name in (*texts, *more)
        }
        changed["texts"] = tuple(text.replace("value_field", value) for text in self.texts)
        return replace(self, **changed)


# Without the zeros at the end of a fraction.
_DUCKDB_NUMBER = (
    r"regexp_replace(regexp_replace(cast(value_field as varchar),"
    r" '^(-?\d+\.\d*?)0+$', '\1'), '\.$', '')"
)
# A cast of a constant is made when a query is planned, in a branch that is never taken, too, and
# would fail for a text. A format is not.
_POSTGRES_NUMBER = "trim_scale(cast(format('%s', value_field) as numeric))::text"


def _of_type(*names: str) -> str:
    """The condition that a value is of one of these types. It is as quick as a comparison of
    numbers, but a domain is a type of its own."""
    types = ", ".join(f"'{name}'::regtype" for name in names)
    return f"pg_typeof(value_field) in ({types})"


_OTHER_NUMBERS = ("numeric", "double precision", "real")
_WHOLE_NUMBERS = ("integer", "bigint", "smallint")

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
    is_boolean="typeof(value_field) = 'BOOLEAN'",
    is_text="typeof(value_field) = 'VARCHAR'",
    is_whole="typeof(value_field) in ('INTEGER', 'BIGINT', 'SMALLINT', 'HUGEINT')",
    exponents=True,
    not_finite={"nan": "nan", "inf": "inf", "-inf": "-inf"},
    is_zoned="typeof(value_field) = 'TIMESTAMP WITH TIME ZONE'",
    is_real="",
    matches="regexp_matches(value_field, {pattern}, 's')",
    printed="cast(value_field as varchar)",
)

POSTGRES = ValueForms(
    # A cast is not always what the server prints: of an inet, only the cast names the netmask. But
    # it prints `t` for true, also of a domain.
    texts=(
        "cast(value_field as text)",
        "case when jsonb_typeof(to_jsonb(value_field)) = 'boolean' then null"
        " else format('%s', value_field) end",
    ),
    family=(
        "case when cast(pg_typeof(value_field) as text) in"
        " ('smallint', 'integer', 'bigint', 'numeric') then 'number'"
        " when cast(pg_typeof(value_field) as text) in"
        " ('text', 'character varying', 'character', 'name') then 'text'"
        " else cast(pg_typeof(value_field) as text) end"
    ),
    # A domain counts as its base type.
    is_number=(
        f"{_of_type(*_WHOLE_NUMBERS, *_OTHER_NUMBERS)}"
        " or jsonb_typeof(to_jsonb(value_field)) = 'number'"
    ),
    number=_POSTGRES_NUMBER,
    joined_number=_POSTGRES_NUMBER,
    is_moment=_of_type("date", "timestamp", "timestamptz"),
    moment=(
        "case pg_typeof(value_field)"
        " when 'date'::regtype then cast(value_field as text) || ' 00:00:00'"
        " when 'timestamptz'::regtype then cast(timezone('UTC',"
        " cast(cast(value_field as text) as timestamptz)) as text) || '+00'"
        " else cast(value_field as text) end"
    ),
    is_boolean=_of_type("boolean"),
    is_text=_of_type("text", "varchar"),
    is_whole=_of_type(*_WHOLE_NUMBERS),
    exponents=False,
    not_finite={"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"},
    is_zoned="pg_typeof(value_field) = 'timestamptz'::regtype",
    is_real="pg_typeof(value_field) = 'real'::regtype",
    matches="value_field ~ {pattern}",
    # A row whose fields are all NULL `is null`, and is no NULL.
    printed="case when num_nulls(value_field) = 0 then format('%s', value_field) end",
)


# Without the zeros at the end of a fraction. A decimal may be written with an exponent.
_SPARK_NUMBER = (
    r"regexp_replace(regexp_replace(cast(value_field as string),"
    r" '^(-?\\d+\\.\\d*?)0+$', '$1'), '\\.$', '')"
)
_SPARK_WHOLE = "typeof(value_field) in ('int', 'bigint', 'smallint', 'tinyint')"

SPARK = ValueForms(
    texts=("cast(value_field as string)",),
    family=(
        f"case when {_SPARK_WHOLE} then 'whole' when typeof(value_field) like 'decimal(%'"
        " then 'decimal' else typeof(value_field) end"
    ),
    is_number=(
        f"{_SPARK_WHOLE} or typeof(value_field) in ('float', 'double')"
        " or typeof(value_field) like 'decimal(%'"
    ),
    number=_SPARK_NUMBER,
    joined_number=_SPARK_NUMBER,
    is_moment="typeof(value_field) in ('date', 'timestamp', 'timestamp_ntz')",
    moment=(
        "case when typeof(value_field) = 'date' then cast(value_field as string) || ' 00:00:00'"
        " when typeof(value_field) = 'timestamp' then cast(value_field as string) || '+00'"
        " else cast(value_field as string) end"
    ),
    is_boolean="typeof(value_field) = 'boolean'",
    is_text="typeof(value_field) = 'string'",
    is_whole=_SPARK_WHOLE,
    exponents=True,
    not_finite={"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"},
    is_zoned="typeof(value_field) = 'timestamp'",
    is_real="typeof(value_field) = 'float'",
    matches="value_field rlike concat('(?s)', {pattern})",
    printed="cast(value_field as string)",
    text_type="string",
    double_type="double",
    epoch="cast(cast(value_field as timestamp) as double)",
)


# No function of MariaDB names a type. But JSON writes a number without quotes, and only numbers and
# times have the coercibility 5. A text is compared as its collation says, so often without case.
_MARIADB_TEXT = "convert(cast(value_field as char) using utf8mb4) collate utf8mb4_nopad_bin"
_MARIADB_BARE = "coercibility(value_field) = 5 and collation(value_field) = 'binary'"
_MARIADB_NUMERIC = f"{_MARIADB_BARE} and json_array(value_field) not like '[\"%'"
# As programs write a double: 1e+20, 1e-07.
_MARIADB_NUMBER = (
    r"regexp_replace(regexp_replace(regexp_replace(regexp_replace("
    rf"{_MARIADB_TEXT}, '^(-?\\d+\\.\\d*?)0+$', '\\1'), '\\.$', ''),"
    r" 'e(\\d)', 'e+\\1'), 'e-(\\d)$', 'e-0\\1')"
)

MARIADB = ValueForms(
    texts=(_MARIADB_TEXT,),
    family=(
        f"case when collation(value_field) <> 'binary' then 'text' when {_MARIADB_NUMERIC}"
        " then json_type(json_extract(json_array(value_field), '$[0]')) else 'other' end"
    ),
    is_number=_MARIADB_NUMERIC,
    number=_MARIADB_NUMBER,
    joined_number=_MARIADB_NUMBER,
    is_moment=(
        f"{_MARIADB_BARE} and json_array(value_field)"
        r" regexp '^\\[\"\\d{4}-\\d\\d-\\d\\d[ \"]'"
    ),
    moment=(
        f"regexp_replace(regexp_replace(concat({_MARIADB_TEXT},"
        " case when char_length(cast(value_field as char)) = 10 then ' 00:00:00' else '' end),"
        r" '(\\.\\d*?)0+$', '\\1'), '\\.$', '')"
    ),
    is_boolean="false",
    is_text="collation(value_field) <> 'binary'",
    is_whole=f"{_MARIADB_BARE} and json_array(value_field) regexp '^\\\\[-?[0-9]+\\\\]$'",
    exponents=True,
    not_finite={"nan": "nan", "inf": "inf", "-inf": "-inf"},
    is_zoned="",
    is_real="",
    matches=f"{_MARIADB_TEXT} regexp concat('(?s)', {{pattern}})",
    printed="cast(value_field as char)",
    text_type="char",
    double_type="double",
    whole_type="signed",
    # UNIX_TIMESTAMP ends in 2038.
    epoch="timestampdiff(microsecond, timestamp '1970-01-01 00:00:00', value_field) / 1000000",
    instant="cast({text} as datetime(6))",
    interval="interval {span}",
    # A function of windows only, which it does not take for NULL.
    quantile=(
        "select max(quantile_of_all) as {name} from (select percentile_{kind}({at}) within group"
        " (order by of_all) over () as quantile_of_all from (select {column} as of_all from {rows})"
        " as all_values where of_all is not null) as quantiles"
    ),
    same="{one} <=> {other}",
)
