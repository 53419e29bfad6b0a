"""What a session takes from its client, as the database is open in a process of somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import duckdb

from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.literal_paths import plain_folder, plain_path
from dagster_models.warehouses.base import literal
from dagster_models.warehouses.duckdb.target import DUCKDB

#: DuckDB reads these once per process, from the time zone and the locale, by ICU's own rules.
_DEFAULTS = """
import duckdb, json, sys
settings = "select current_setting('TimeZone'), current_setting('Calendar')"
json.dump(duckdb.connect().execute(settings).fetchone(), sys.stdout)
"""
_PROBE_SECONDS = 60.0


def config_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """How a database is opened with these settings of a target."""
    # A missing relation must be an error, never a Python variable of ours with its name.
    config = {"python_enable_replacements": "false"}
    for name in ("memory_limit", "threads"):
        if settings.get(name) is not None:
            config[name] = str(settings[name])
    return config


def set_up(cursor: Any, request: SessionRequest | None) -> None:
    """Let a cursor have the settings that its client asks for."""
    for setting, value in (session_settings(request) if request else {}).items():
        cursor.execute(f"set session {setting} = {literal(value)}")


def session_settings(request: SessionRequest) -> dict[str, str]:
    """The settings that make a session work as in a process of its client's own."""
    settings = {}
    if request.folder:
        settings["file_search_path"] = plain_folder(request.folder)
    ours = {name: os.environ[name] for name in DUCKDB.session_environment if name in os.environ}
    theirs = request.environment
    if theirs == ours:
        return settings
    if theirs.get("HOME", "") not in ("", ours.get("HOME")):
        settings["home_directory"] = theirs["HOME"]
    locale, our_locale = _but_home(theirs), _but_home(ours)
    if locale != our_locale:
        settings["TimeZone"], settings["Calendar"] = _defaults(locale)
    return settings


def _but_home(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in environment.items() if item[0] != "HOME"))


@lru_cache(maxsize=256)
def _defaults(environment: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """The time zone and the calendar that DuckDB would choose under these variables.

    Asked of a process that has them (0.2 s, once for each): how ICU reads a TZ (a POSIX rule, a
    path, nothing at all) is not to be imitated. Raises WarehouseError if that fails.
    """
    others = {k: v for k, v in os.environ.items() if k not in DUCKDB.session_environment}
    home = {"HOME": os.environ["HOME"]} if "HOME" in os.environ else {}
    done = subprocess.run(
        [sys.executable, "-c", _DEFAULTS],
        env={**others, **home, **dict(environment)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
    )
    if done.returncode != 0:
        given = ", ".join(f"{name}={value}" for name, value in environment)
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"DuckDB does not start under {given}:\n{done.stderr.strip()}",
        )
    time_zone, calendar = json.loads(done.stdout)
    return time_zone, calendar


def path_of_database(path: str) -> str:
    """The path by which DuckDB opens the database at *path*, and no other one.

    DuckDB asks for the real path, also of a link. It takes a ``?`` in it for the start of
    parameters; DuckDB 2 takes a backslash for a slash (measured with 2.0.1), and would open the
    database of another folder. Raises WarehouseError, of kind INVALID_SETTINGS, for these.
    """
    misread = {"?": "the start of parameters"}
    if not duckdb.__version__.startswith("1."):
        misread["\\"] = "a slash"
    real = os.path.realpath(path)
    for character, meaning in misread.items():
        if character in real:
            raise WarehouseError(
                ErrorKind.INVALID_SETTINGS,
                f"DuckDB takes the `{character}` in {real} for {meaning}: let the path lead to a"
                " file without it in its name and in its folders'",
            )
    return plain_path(path)
