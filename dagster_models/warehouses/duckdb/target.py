"""DuckDB as a type of target: its settings, and how it writes values and types."""

from __future__ import annotations

from dagster_models.core.copy_forms import CopyForms
from dagster_models.core.target_types import IDLE, Setting, TargetType
from dagster_models.core.value_forms import ValueForms

# Without the zeros at the end of a fraction.
_NUMBER = (
    r"regexp_replace(regexp_replace(cast(value_field as varchar),"
    r" '^(-?\d+\.\d*?)0+$', '\1'), '\.$', '')"
)

VALUE_FORMS = ValueForms(
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
    number=_NUMBER,
    # A double may be written with an exponent, and zero with a sign.
    joined_number=(
        f"coalesce(cast(try_cast(case when {_NUMBER} like '%e+%' or {_NUMBER} = '-0'"
        " then try_cast(cast(value_field as varchar) as double) end as hugeint) as varchar),"
        f" {_NUMBER})"
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

COPY_FORMS = CopyForms(
    reads={
        "boolean": "bool",
        "tinyint": "int8",
        "smallint": "int16",
        "integer": "int32",
        "bigint": "int64",
        "hugeint": "int128",
        "utinyint": "uint8",
        "usmallint": "uint16",
        "uinteger": "uint32",
        "ubigint": "uint64",
        "float": "float",
        "double": "double",
        "varchar": "text",
        "blob": "binary",
        "date": "date",
        "time": "time",
        "timestamp": "timestamp",
        "timestamp_s": "timestamp",
        "timestamp_ms": "timestamp",
        "timestamp with time zone": "timestamptz",
        "interval": "interval",
        "uuid": "uuid",
        "json": "json",
    },
    stores={
        "bool": "BOOLEAN",
        "int8": "TINYINT",
        "int16": "SMALLINT",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "int128": "DECIMAL(38,0)",
        "uint8": "UTINYINT",
        "uint16": "USMALLINT",
        "uint32": "UINTEGER",
        "uint64": "UBIGINT",
        "float": "FLOAT",
        "double": "DOUBLE",
        "text": "VARCHAR",
        "binary": "BLOB",
        "date": "DATE",
        "time": "TIME",
        "timestamp": "TIMESTAMP",
        "timestamptz": "TIMESTAMP WITH TIME ZONE",
        "interval": "INTERVAL",
        "uuid": "VARCHAR",
        "json": "VARCHAR",
    },
    notes=frozenset(("int128", "uuid", "json")),
    number="DECIMAL",
    digits=38,
)

DUCKDB = TargetType(
    "duckdb",
    "dagster_models.warehouses.duckdb.session",
    (
        Setting("path"),
        Setting("memory_limit", scope="process"),
        Setting("threads", "integer", scope="process"),
        # What is read from another place: a name -> {duckdb | files | postgres: where}.
        Setting("attach", "attach", secret=True, scope="process"),
        # How long a file is waited for that another program, user or container has open.
        Setting("lock_timeout", "seconds", default=20.0, scope="session"),
        IDLE,
    ),
    VALUE_FORMS,
    COPY_FORMS,
    file_setting="path",
    databases=("temp", "system"),
    lacks={
        "grants": "DuckDB has no roles, and whoever can read the file can read all of it",
        "index_types": "DuckDB has one type of index (ART)",
    },
    # Its TimeZone comes from TZ, its Calendar from the locale, and ~ in paths is HOME.
    session_environment=("TZ", "LC_ALL", "LC_MESSAGES", "LANG", "HOME"),
    # Of DuckDB's allocator: its threads keep what they free for a tenth of a second, not for two,
    # and no blocks of more than 16 KiB (https://jemalloc.net/jemalloc.3.html, "TUNING").
    process_environment={
        "DUCKDB_JE_MALLOC_CONF": "dirty_decay_ms:100,muzzy_decay_ms:0,lg_tcache_max:14"
    },
    needs_pandas=False,
)
