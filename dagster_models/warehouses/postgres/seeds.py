"""Seeds for PostgreSQL: read, and their types inferred, by DuckDB's reader, which is at hand.

So both warehouses make equal tables of one file, and find the same bad rows. A column whose type
is declared is read as text: what PostgreSQL makes of that is the type's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import duckdb

from dagster_models.errors import WarehouseError
from dagster_models.warehouses.base import literal, quote
from dagster_models.warehouses.duckdb.errors import convert, csv_error
from dagster_models.warehouses.duckdb.session import csv_reader
from dagster_models.warehouses.postgres import arrow_to_copy

_COPY_LINE = re.compile(r"COPY .*?, line (\d+)(?:, column (.*?))?(?::|$)")


def read_seed(path: str, column_types: Mapping[str, str]) -> Any:
    """A CSV file as an Arrow table. Raises WarehouseError."""
    options = ""
    if column_types:
        listed = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in column_types)
        options = f", types={{{listed}}}"
    try:
        with duckdb.connect(config={"python_enable_replacements": "false"}) as connection:
            return connection.sql(csv_reader(path, options)).to_arrow_reader().read_all()
    except Exception as error:
        raise csv_error(convert(error), path) from error


def seed_columns(schema: Any, column_types: Mapping[str, str]) -> str:
    """The columns of its table as SQL: the declared types, else what the reader found."""
    import pyarrow as pa

    arrow_to_copy.column_definitions(schema)  # for what it refuses
    types = {
        name: arrow_to_copy.sql_type(field.type)
        for name, field in zip(schema.names, schema, strict=True)
    }
    assert isinstance(schema, pa.Schema)
    return ", ".join(f"{quote(n)} {column_types.get(n, t)}" for n, t in types.items())


def bad_value(error: WarehouseError, path: str) -> WarehouseError:
    """An error of COPY with the line of the file: its header is one line more than COPY counts."""
    cause = error.__cause__
    context = getattr(getattr(cause, "diag", None), "context", None) or ""
    found = _COPY_LINE.search(context)
    if found is None:
        return error
    line = int(found[1]) + 1
    column = f", column {found[2]}" if found[2] else ""
    told = f"{path}: line {line}{column}: {error.message}"
    return WarehouseError(error.kind, told, name=error.name, line=line, transient=error.transient)
