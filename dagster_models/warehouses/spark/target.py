"""Spark as a type of target: its settings, and how it writes values and types."""

from __future__ import annotations

import re

from dagster_models.core.copy_forms import CopyForms
from dagster_models.core.target_types import IDLE, Setting, TargetType
from dagster_models.core.value_forms import ValueForms

# Without the zeros at the end of a fraction. A decimal may be written with an exponent.
_NUMBER = (
    r"regexp_replace(regexp_replace(cast(value_field as string),"
    r" '^(-?\\d+\\.\\d*?)0+$', '$1'), '\\.$', '')"
)
_WHOLE = "typeof(value_field) in ('int', 'bigint', 'smallint', 'tinyint')"

VALUE_FORMS = ValueForms(
    texts=("cast(value_field as string)",),
    family=(
        f"case when {_WHOLE} then 'whole' when typeof(value_field) like 'decimal(%'"
        " then 'decimal' else typeof(value_field) end"
    ),
    is_number=(
        f"{_WHOLE} or typeof(value_field) in ('float', 'double')"
        " or typeof(value_field) like 'decimal(%'"
    ),
    number=_NUMBER,
    joined_number=_NUMBER,
    is_moment="typeof(value_field) in ('date', 'timestamp', 'timestamp_ntz')",
    moment=(
        "case when typeof(value_field) = 'date' then cast(value_field as string) || ' 00:00:00'"
        " when typeof(value_field) = 'timestamp' then cast(value_field as string) || '+00'"
        " else cast(value_field as string) end"
    ),
    is_boolean="typeof(value_field) = 'boolean'",
    is_text="typeof(value_field) = 'string'",
    is_whole=_WHOLE,
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

COPY_FORMS = CopyForms(
    reads={
        "boolean": "bool",
        "tinyint": "int8",
        "smallint": "int16",
        "int": "int32",
        "bigint": "int64",
        "float": "float",
        "double": "double",
        "string": "text",
        "binary": "binary",
        "date": "date",
        "timestamp": "timestamptz",
        "timestamp_ntz": "timestamp",
    },
    stores={
        "bool": "boolean",
        "int8": "tinyint",
        "int16": "smallint",
        "int32": "int",
        "int64": "bigint",
        "int128": "decimal(38,0)",
        "uint8": "smallint",
        "uint16": "int",
        "uint32": "bigint",
        "uint64": "decimal(20,0)",
        "float": "float",
        "double": "double",
        "text": "string",
        "binary": "binary",
        "date": "date",
        "time": "string",
        "timestamp": "timestamp_ntz",
        "timestamptz": "timestamp",
        "uuid": "string",
        "json": "string",
    },
    notes=frozenset(("int128", "uint8", "uint16", "uint32", "uint64", "time", "uuid", "json")),
    number="decimal",
    digits=38,
)

#: Folders of a location and of a schema: names that are the same to every catalog and file system.
_NAME = re.compile(r"[A-Za-z0-9_]{1,128}")


def why_no_name(name: str) -> str:
    """Why no folder of a relation or schema can have this name; "" if one can."""
    if _NAME.fullmatch(name):
        return ""
    return "it becomes a folder, and has letters of ASCII, digits and underscores only, 128 at most"


SPARK = TargetType(
    "spark",
    "dagster_models.warehouses.spark.session",
    (
        Setting("host"),
        Setting("port", "integer"),
        Setting("user"),
        Setting("token", secret=True),
        # A folder that the server and this machine have at the same path: it has the tables.
        Setting("location", "path"),
        # Delta tables, or Iceberg tables of a catalog: a SQLite or PostgreSQL database, or one that
        # a REST server offers.
        Setting("format"),
        Setting("catalog", secret=True),
        Setting("catalog_name"),
        Setting("catalog_warehouse"),
        Setting("catalog_token", secret=True),
        Setting("catalog_credential", secret=True),
        Setting("catalog_scope"),
        Setting("catalog_oauth"),
        # How long a server that does not answer is tried: it may be restarting.
        Setting("connect_seconds", "seconds", default=10.0, scope="session"),
        IDLE,
    ),
    VALUE_FORMS,
    COPY_FORMS,
    dialect="spark",
    extra="spark",
    own_schemas="dagster_models_stage_",
    why_no_name=why_no_name,
    lacks={
        "custom": "its code builds in a transaction, and Spark has none over several statements",
        "statements": "they would run in no transaction with the relation's publication",
        "grants": "the location is a folder, and whoever can read it can read all of it",
        "indexes": "Delta has no indexes",
        "merge_columns": "a merge writes whole rows here",
        "predicates": "all rows of a key are replaced here",
    },
)
