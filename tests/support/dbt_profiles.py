"""Profiles of dbt for the warehouses of tests."""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import conninfo_to_dict

from systems import System


def dbt_profile(system: System, schema: str, threads: int = 1) -> dict[str, Any]:
    """A profile of profiles.yml, with this warehouse as its only target."""
    if system.name == "duckdb":
        output: dict[str, Any] = {"type": "duckdb", "path": system.settings["path"]}
    else:
        given = conninfo_to_dict(system.settings["dsn"])
        output = {"type": "postgres", "port": int(given["port"])}
        output |= {key: given[key] for key in ("host", "user", "password", "dbname")}
    output |= {"schema": schema, "threads": threads}
    return {"outputs": {"dev": output}, "target": "dev"}
