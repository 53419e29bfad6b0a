"""What becomes of a column that is copied from one warehouse to another.

A type is read in a *form*, which no warehouse owns, and stored as the type that the other warehouse
has for this form. Types and forms that are not listed have no equal, and a column of one is refused
with what to do; a type that holds the same values, but is another one, is worth a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from dagster_models.errors import ErrorKind, WarehouseError

_DIGITS = re.compile(r"(decimal|numeric)\((\d+),(\d+)\)", re.IGNORECASE)
_ARRAY = re.compile(r"(.+)\[\]")


@dataclass(frozen=True, slots=True)
class CopyForms:
    """``reads``: a type, in lower case -> its form. ``stores``: a form -> the type that holds it.
    ``notes`` are the forms of which a user should know how they are stored. An exact number is
    the type ``number``, of ``digits`` at most."""

    reads: Mapping[str, str]
    stores: Mapping[str, str]
    notes: frozenset[str]
    number: str
    digits: int

    def form(self, type_: str) -> str:
        """The form in which a type is read, "" if its values have no exact equal elsewhere."""
        if array := _ARRAY.fullmatch(type_):
            element = self.form(array[1])
            return f"{element}[]" if element in _ELEMENTS else ""
        if found := _DIGITS.fullmatch(type_):
            digits, scale = int(found[2]), int(found[3])
            return f"decimal({digits},{scale})" if scale <= digits else ""
        return self.reads.get(type_.lower(), "")

    def type_of(self, form: str) -> str:
        """The type that holds the form, "" if there is none."""
        if form.endswith("[]"):
            element = self.type_of(form[:-2])
            return f"{element}[]" if element and form[:-2] not in self.notes else ""
        if found := _DIGITS.fullmatch(form):
            return f"{self.number}({found[2]},{found[3]})" if int(found[2]) <= self.digits else ""
        return self.stores.get(form, "")


#: Of arrays: their elements arrive as values, and not as texts.
_ELEMENTS = frozenset(
    ("bool", "int16", "int32", "int64", "float", "double", "text", "date", "timestamp")
)
DUCKDB = CopyForms(
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
POSTGRES = CopyForms(
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

SPARK = CopyForms(
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

MARIADB = CopyForms(
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


def notes_on(
    columns: Iterable[tuple[str, str]], source: CopyForms, here: CopyForms
) -> Iterator[str]:
    """What a user should know of columns, each (name, type), that are copied.

    Raises WarehouseError for those that have no equal; it names them all.
    """
    refused = []
    for name, type_ in columns:
        form = source.form(type_)
        stored = here.type_of(form) if form else ""
        if not stored:
            refused.append(f"{name} ({type_})")
        elif form in here.notes:
            yield f"column {name}: its type {type_} is stored as {stored}"
    if refused:
        raise WarehouseError(
            ErrorKind.UNSUPPORTED,
            f"these columns have no type with the same values here: {', '.join(refused)}. Cast them"
            " in the query, e.g. to text, or to an exact number with its digits; or leave them out",
            name="NoEqualType",
        )
