"""The commit records in a lake: DuckDB's, but for their key, as DuckLake has none."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_models.core.model import Relation
from dagster_models.warehouses.base import literal, quote, quoted
from dagster_models.warehouses.duckdb.records import DDL, Run, format_of
from dagster_models.warehouses.records import (
    ADDED_IN_3,
    ADDED_IN_4,
    FORMAT,
    RECORDS,
    refuse_newer,
)


def are_prepared(run: Run, catalog: str, schemas: Sequence[str]) -> bool:
    """Whether ``prepare`` would write nothing. Raises WarehouseError if it would refuse."""
    found = format_of(run, catalog)
    refuse_newer(found)
    rows = run(f"SELECT schema_name FROM duckdb_schemas() WHERE database_name = {literal(catalog)}")
    there = {name.lower() for (name,) in rows}
    return found == FORMAT and there.issuperset(schema.lower() for schema in schemas)


def prepare(run: Run, catalog: str, schemas: Sequence[str]) -> None:
    """The schemas, and the table, which has all columns from the beginning: before format 5 there
    were no lakes."""
    found = format_of(run, catalog)
    refuse_newer(found)
    for schema in dict.fromkeys((*schemas, RECORDS.schema)):
        run(f"CREATE SCHEMA IF NOT EXISTS {quote(catalog)}.{quote(schema)}")
    if found == FORMAT:
        return
    records = quoted(Relation(RECORDS.schema, RECORDS.name, catalog))
    run(DDL.format(records=records))
    for name, type_ in {**ADDED_IN_3, **ADDED_IN_4}.items():
        run(f"ALTER TABLE {records} ADD COLUMN IF NOT EXISTS {name} {type_}")
    run(f"CREATE TABLE IF NOT EXISTS {_format(catalog)} (version INTEGER)")
    run(f"INSERT INTO {_format(catalog)} VALUES ({FORMAT})")


def make_snapshot(run: Run, catalog: str, mark: str) -> None:
    """Commit a change that hinders nobody: the comment of the table of the format."""
    run(f"COMMENT ON TABLE {_format(catalog)} IS {literal(mark)}")


def _format(catalog: str) -> str:
    return quoted(Relation(RECORDS.schema, "format", catalog))
