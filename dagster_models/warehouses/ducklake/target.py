"""DuckLake as a type of target: its settings, and how it writes values and types."""

from __future__ import annotations

from dagster_models.core.target_types import IDLE, Setting, TargetType
from dagster_models.util import dsn
from dagster_models.warehouses.duckdb.target import DUCKDB

DUCKLAKE = TargetType(
    "ducklake",
    "dagster_models.warehouses.ducklake.session",
    (
        # The catalog: a PostgreSQL database or a SQLite file.
        Setting("postgres", secret=True),
        Setting("sqlite", "path"),
        # The folder, or the prefix in an object store, that has the files.
        Setting("data", "path"),
        Setting("memory_limit", scope="process"),
        Setting("threads", "integer", scope="process"),
        # How long the catalog is waited for while somebody else writes to it.
        Setting("lock_timeout", "seconds", default=30.0, scope="session"),
        IDLE,
    ),
    DUCKDB.value_forms,
    DUCKDB.copy_forms,
    extra="ducklake",
    needs=(("postgres", "sqlite"), ("data",)),
    catalog="lake",
    databases=("temp", "system", "memory", "__ducklake_metadata_lake"),
    lacks={
        "grants": "DuckLake has no roles, and whoever can read its files can read all of it",
        "indexes": "DuckLake has no indexes; it keeps the smallest and largest value of each file",
    },
    identity=dsn.lake_identity,
    session_environment=DUCKDB.session_environment,
    process_environment=DUCKDB.process_environment,
)
