"""The warehouses of tests, as dbt and others reach them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import psycopg
import pytest
import yaml
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


def write_shop(
    folder: Path,
    profile: Mapping[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write *files* of the dbt project ``shop``, and its profile. Of a password an import writes
    only the name of a variable, so this sets that one."""
    monkeypatch.setenv("SHOP_PASSWORD", str(profile["outputs"]["dev"].get("password") or ""))
    for path, text in {**files, "profiles.yml": yaml.safe_dump({"shop": profile})}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def sql(system: System, text: str) -> list[Any]:
    """The rows of a statement that somebody else sends."""
    if system.name == "duckdb":
        with duckdb.connect(system.settings["path"]) as connection:
            return connection.execute(text).fetchall()
    with psycopg.connect(system.settings["dsn"], autocommit=True) as connection:
        cursor = connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else []
