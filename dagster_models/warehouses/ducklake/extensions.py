"""The extensions of DuckDB that a lake needs: none of them is in DuckDB's own package."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

import duckdb

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import literal

#: The newest DuckDB whose extensions are on PyPI. An extension fits one version of DuckDB alone.
PACKAGED = "1.5.5"


def load(connection: Any, name: str) -> None:
    """Load an extension from its package, or else as the user has installed it.

    Raises WarehouseError: nothing is downloaded without being asked for.
    """
    try:
        connection.execute("SET autoinstall_known_extensions = false")  # LOAD would download it
        connection.execute(f"LOAD {literal(packaged(name) or name)}")
        connection.execute("RESET autoinstall_known_extensions")
    except duckdb.Error as error:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"DuckDB's extension {name}, which a target of type ducklake needs, is not installed"
            f" for DuckDB {duckdb.__version__}, and nothing is installed without being asked for:"
            " run `pip install 'dagster-models[ducklake]'`, which brings the extensions and DuckDB"
            f" {PACKAGED}, the newest version that they are packaged for. Or, where DuckDB may"
            f" download it, run `INSTALL {name}` once in DuckDB as this user",
            name="ExtensionMissing",
        ) from error


def packaged(name: str) -> str | None:
    """The file in the package duckdb-extension-<name>, if that is installed and fits."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        file = os.path.join(
            folder, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension"
        )
        if os.path.exists(file):
            return file
    return None
