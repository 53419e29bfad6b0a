"""Attaching a lake: its catalog in PostgreSQL or SQLite, and its files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import dsn
from dagster_models.util.file_systems import why_not_here
from dagster_models.warehouses.base import literal, quote
from dagster_models.warehouses.duckdb.errors import translated
from dagster_models.warehouses.ducklake import extensions
from dagster_models.warehouses.ducklake.target import DUCKLAKE

#: A snapshot gets the next number, so those who commit at the same moment try again, after a wait
#: that grows. DuckLake's own ten tries were too few for six writers (89 of 90).
_RETRIES = {"max_retry_count": "40", "retry_wait_ms": "50", "retry_backoff": "1.1"}

_SECRET = "dagster_models_catalog"


def attach(connection: Any, settings: Mapping[str, Any]) -> None:
    """Attach the lake as ``DUCKLAKE.catalog``; the first one who does makes it.

    Raises WarehouseError.
    """
    server = _server(settings) if settings.get("postgres") else {}
    if not server and (why := why_not_here(os.path.realpath(str(settings["sqlite"])))):
        raise WarehouseError(ErrorKind.INVALID_SETTINGS, why)
    extensions.load(connection, "ducklake")
    extensions.load(connection, "postgres_scanner" if server else "sqlite_scanner")
    data = str(settings["data"])
    if "://" in data:
        extensions.load(connection, "httpfs")
    else:
        _make_folder(data, "data")
    for name, value in _RETRIES.items():
        connection.execute(f"SET GLOBAL ducklake_{name} = {value}")
    options = [f"DATA_PATH {literal(data)}"]
    if server:
        if "password" in server:
            _hide(connection, server.pop("password"))
            options.append(f"META_SECRET {literal(_SECRET)}")
        place = "postgres:" + " ".join(f"{name}={_value(text)}" for name, text in server.items())
    else:
        place = f"sqlite:{settings['sqlite']}"
        _make_folder(os.path.dirname(str(settings["sqlite"])), "sqlite")
        wait = round(1000 * DUCKLAKE.number(settings, "lock_timeout"))
        # Else even a reader whose transaction is open keeps a writer from its COMMIT.
        options.append(f"META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT {wait}")
    lake, name = literal(f"ducklake:{place}"), quote(DUCKLAKE.catalog)
    try:
        with translated():
            connection.execute(f"ATTACH {lake} AS {name} ({', '.join(options)})")
            connection.execute(f"USE {name}")
    except WarehouseError as error:
        _, unreachable, why = error.message.partition("Unable to connect to Postgres at ")
        if not unreachable:
            raise
        what = f"the catalog of the lake cannot be reached, at {why}"
        raise WarehouseError(ErrorKind.UNREACHABLE, what, transient=True) from error


def _server(settings: Mapping[str, Any]) -> dict[str, str]:
    """What libpq is given: the user's own, with limits for those who wait for a lock, and so that
    what a dead client has sent ends soon."""
    found = dsn.dsn_parameters(str(settings["postgres"]))
    if others := sorted(dsn.SECRET_KEYWORDS & found.keys() - {"password"}):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"`postgres` has {others[0]}, which DuckDB would show in errors: of secrets it may have"
            " a password alone",
        )
    wait = round(1000 * DUCKLAKE.number(settings, "lock_timeout"))
    given = found.get("options") or os.environ.get("PGOPTIONS", "")
    found["options"] = (
        f"{given} -c lock_timeout={wait} -c client_connection_check_interval=500"
        " -c synchronous_commit=on"
    )
    return {"application_name": "dagster-models", **found}


def _hide(connection: Any, password: str) -> None:
    """Keep the password where DuckDB shows it to nobody: what it attaches, it quotes in errors."""
    with translated():
        connection.execute(
            f"CREATE TEMPORARY SECRET {_SECRET} (TYPE postgres, PASSWORD {literal(password)})"
        )


def _value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _make_folder(path: str, setting: str) -> None:
    try:
        os.makedirs(path or ".", exist_ok=True)
    except OSError as error:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the folder {path} of the setting `{setting}` cannot be made: {error}",
        ) from error
