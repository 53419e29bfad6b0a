"""MariaDB as a type of target: its settings, and how it writes values and types."""

from __future__ import annotations

from dagster_models.core.copy_forms import CopyForms
from dagster_models.core.target_types import IDLE, Setting, TargetType
from dagster_models.core.value_forms import ValueForms

# No function of MariaDB names a type. But JSON writes a number without quotes, and only numbers and
# times have the coercibility 5. A text is compared as its collation says, so often without case.
_TEXT = "convert(cast(value_field as char) using utf8mb4) collate utf8mb4_nopad_bin"
_BARE = "coercibility(value_field) = 5 and collation(value_field) = 'binary'"
_NUMERIC = f"{_BARE} and json_array(value_field) not like '[\"%'"
# A FLOAT is written with six digits. It needs up to nine: as few of them as lead back to it.
_IS_CUT = (
    f"{_NUMERIC} and cast(value_field as float) = value_field"
    " and cast(cast(value_field as char) as float) <> value_field"
)


def _digits(count: int) -> str:
    value = "(value_field + 0e0)"
    return f"cast(round({value}, {count - 1} - floor(log10(abs({value})))) as char)"


_DIGITS = (
    f"case when not ({_IS_CUT}) then {_TEXT}"
    + "".join(f" when cast({_digits(n)} as float) = value_field then {_digits(n)}" for n in (7, 8))
    + f" else {_digits(9)} end"
)
# As programs write a double: 1e+20, 1e-07.
_NUMBER = (
    r"regexp_replace(regexp_replace(regexp_replace(regexp_replace("
    rf"{_DIGITS}, '^(-?\\d+\\.\\d*?)0+$', '\\1'), '\\.$', ''),"
    r" 'e(\\d)', 'e+\\1'), 'e-(\\d)$', 'e-0\\1')"
)

VALUE_FORMS = ValueForms(
    texts=(_TEXT,),
    family=(
        f"case when collation(value_field) <> 'binary' then 'text' when {_NUMERIC}"
        " then json_type(json_extract(json_array(value_field), '$[0]')) else 'other' end"
    ),
    is_number=_NUMERIC,
    number=_NUMBER,
    joined_number=_NUMBER,
    is_moment=(
        f"{_BARE} and json_array(value_field)"
        r" regexp '^\\[\"\\d{4}-\\d\\d-\\d\\d[ \"]'"
    ),
    moment=(
        f"regexp_replace(regexp_replace(concat({_TEXT},"
        " case when char_length(cast(value_field as char)) = 10 then ' 00:00:00' else '' end),"
        r" '(\\.\\d*?)0+$', '\\1'), '\\.$', '')"
    ),
    is_boolean="false",
    is_text="collation(value_field) <> 'binary'",
    is_whole=(
        f"{_BARE} and json_array(value_field) regexp '^\\\\[-?[0-9]+\\\\]$' and not ({_IS_CUT})"
    ),
    exponents=True,
    not_finite={"nan": "nan", "inf": "inf", "-inf": "-inf"},
    is_zoned="",
    is_real=f"{_NUMERIC} and cast(cast(value_field as char) as double) <> value_field",
    real_type="float",
    matches=f"{_TEXT} regexp concat('(?s)', {{pattern}})",
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

COPY_FORMS = CopyForms(
    reads={
        "boolean": "bool",
        "tinyint": "int8",
        "smallint": "int16",
        "int": "int32",
        "bigint": "int64",
        "tinyint unsigned": "uint8",
        "smallint unsigned": "uint16",
        "int unsigned": "uint32",
        "bigint unsigned": "uint64",
        "float": "float",
        "double": "double",
        "varchar": "text",
        "varbinary": "binary",
        "date": "date",
        "time": "time",
        "datetime": "timestamp",
        "timestamp": "timestamptz",
    },
    stores={
        "bool": "boolean",
        "int8": "tinyint",
        "int16": "smallint",
        "int32": "int",
        "int64": "bigint",
        "int128": "decimal(38,0)",
        "uint8": "tinyint unsigned",
        "uint16": "smallint unsigned",
        "uint32": "int unsigned",
        "uint64": "bigint unsigned",
        "float": "float",
        "double": "double",
        "text": "longtext",
        "binary": "longblob",
        "date": "date",
        "time": "time(6)",
        "timestamp": "datetime(6)",
        "timestamptz": "timestamp(6)",
        "uuid": "longtext",
        "json": "longtext",
    },
    notes=frozenset(("int128", "uuid", "json")),
    number="decimal",
    digits=65,
)

_MOST_CHARACTERS = 64


def why_no_name(name: str) -> str:
    """Why the server would take a name for another one, or not take it; "" if it is one."""
    if len(name) > _MOST_CHARACTERS:
        return f"it has {len(name)} characters, and MariaDB has {_MOST_CHARACTERS} at most"
    if not name or name != name.rstrip(" ") or "\0" in name:
        return "it is empty, ends in a space, or has a NUL"
    if any(character > "\uffff" for character in name):
        return "it has a character of four bytes, which MariaDB has in no name"
    return ""


MARIADB = TargetType(
    "mariadb",
    "dagster_models.warehouses.mariadb.session",
    (
        Setting("host"),
        Setting("port", "integer"),
        Setting("socket", "path"),
        Setting("user"),
        Setting("password", secret=True),
        Setting("ssl_ca", "path"),
        # How long a server that does not answer is tried: it may be restarting.
        Setting("connect_seconds", "seconds", default=10.0, scope="session"),
        Setting("lock_timeout", "seconds", default=30.0, scope="session"),
        IDLE,
    ),
    VALUE_FORMS,
    COPY_FORMS,
    dialect="mysql",
    extra="mariadb",
    own_schemas="dagster_models_stage_",
    why_no_name=why_no_name,
    why_no_column=why_no_name,
    lacks={
        "function": "a function of MariaDB returns one value, and never a table",
        "custom": "its code builds in a transaction, and MariaDB commits before each new table",
        "statements": "MariaDB commits before and after many of them, and the rest is then done",
        "grants": "a grant is a statement by itself, which no publication could take back",
        "index_types": "InnoDB has one type of index (BTREE)",
        "comments": "the comment of a table is the mark of its publication",
        "merge_columns": "a merge writes whole rows here",
        "predicates": "all rows of a key are replaced here",
    },
)
