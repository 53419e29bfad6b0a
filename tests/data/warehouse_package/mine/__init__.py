"""A warehouse in a package of its own: DuckDB, under another name."""

from dataclasses import replace

from dagster_models.warehouses.duckdb.target import DUCKDB

MINE = replace(DUCKDB, name="mine", module="mine.session")
