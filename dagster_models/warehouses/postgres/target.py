"""PostgreSQL as a type of target: its settings, and how it writes values and types."""

from __future__ import annotations

from dagster_models.core.copy_forms import CopyForms
from dagster_models.core.target_types import IDLE, Setting, TargetType
from dagster_models.core.value_forms import ValueForms
from dagster_models.util import dsn

# A cast of a constant is made when a query is planned, in a branch that is never taken, too, and
# would fail for a text. A format is not.
_NUMBER = "trim_scale(cast(format('%s', value_field) as numeric))::text"
_OTHER_NUMBERS = ("numeric", "double precision", "real")
_WHOLE_NUMBERS = ("integer", "bigint", "smallint")


def _of_type(*names: str) -> str:
    """The condition that a value is of one of these types. It is as quick as a comparison of
    numbers, but a domain is a type of its own."""
    types = ", ".join(f"'{name}'::regtype" for name in names)
    return f"pg_typeof(value_field) in ({types})"


VALUE_FORMS = ValueForms(
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
    number=_NUMBER,
    joined_number=_NUMBER,
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

COPY_FORMS = CopyForms(
    reads={
        "bool": "bool",
        "int2": "int16",
        "int4": "int32",
        "int8": "int64",
        "float4": "float",
        "float8": "double",
        "text": "text",
        "varchar": "text",
        "bytea": "binary",
        "date": "date",
        "time": "time",
        "timestamp": "timestamp",
        "timestamptz": "timestamptz",
        "interval": "interval",
        "uuid": "uuid",
        "json": "json",
        "jsonb": "json",
    },
    stores={
        "bool": "boolean",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "float": "real",
        "double": "double precision",
        "text": "text",
        "binary": "bytea",
        "date": "date",
        "time": "time without time zone",
        "interval": "interval",
        "timestamp": "timestamp without time zone",
        "timestamptz": "timestamp with time zone",
        "uuid": "text",
        "int8": "smallint",
        "uint8": "smallint",
        "uint16": "integer",
        "uint32": "bigint",
        "uint64": "numeric(20,0)",
        "int128": "numeric(38,0)",
        "json": "text",
    },
    notes=frozenset(("int8", "uint8", "uint16", "uint32", "uint64", "int128", "uuid", "json")),
    number="numeric",
    digits=1000,
)

#: Of a name: NAMEDATALEN - 1. What is longer PostgreSQL would cut, and two names could become one.
MAX_NAME_BYTES = 63


def why_cut(name: str) -> str:
    """Why a name would be cut; "" if it is not too long."""
    size = len(name.encode("utf-8", "surrogatepass"))
    if size <= MAX_NAME_BYTES:
        return ""
    return f"it has {size} bytes, PostgreSQL would cut it after {MAX_NAME_BYTES}"


POSTGRES = TargetType(
    "postgres",
    "dagster_models.warehouses.postgres.session",
    (
        Setting("dsn", secret=True),
        Setting("host"),
        Setting("port", "integer"),
        Setting("dbname"),
        Setting("user"),
        Setting("password", secret=True),
        Setting("sslmode"),
        Setting("sslrootcert"),
        Setting("sslcert"),
        Setting("sslkey"),
        # How long a server that does not answer is tried: it may be restarting.
        Setting("connect_seconds", "seconds", default=10.0, scope="session"),
        Setting("lock_timeout", "seconds", default=30.0, scope="session"),
        IDLE,
    ),
    VALUE_FORMS,
    COPY_FORMS,
    dialect="postgres",
    extra="postgres",
    own_schemas="pg_",
    identity=dsn.identity,
    from_elsewhere=True,
    why_no_name=why_cut,
    why_no_column=why_cut,
)
