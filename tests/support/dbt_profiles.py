"""The warehouses of tests, as dbt and others reach them."""

from __future__ import annotations

from typing import Any

import duckdb
import psycopg
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


def sql(system: System, text: str) -> list[Any]:
    """The rows of a statement that somebody else sends."""
    if system.name == "duckdb":
        with duckdb.connect(system.settings["path"]) as connection:
            return connection.execute(text).fetchall()
    with psycopg.connect(system.settings["dsn"], autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []
