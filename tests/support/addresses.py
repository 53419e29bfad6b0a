"""Addresses of warehouses, as tests write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.warehouses.duckdb.target import DUCKDB
from dagster_models.warehouses.postgres.target import POSTGRES

#: The first lines of a program that is started with the text of an address as its argument.
PROGRAM = """
import json, sys
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.client.session import connect
address = WarehouseAddress.from_json(json.loads(sys.argv[1]))
"""


def duckdb_at(path: Path | str, **settings: Any) -> WarehouseAddress:
    return WarehouseAddress(DUCKDB, {"path": str(path), **settings})


def postgres_at(dsn: str, **settings: Any) -> WarehouseAddress:
    return WarehouseAddress(POSTGRES, {"dsn": dsn, **settings})


def text_of(address: WarehouseAddress) -> str:
    return json.dumps(address.to_json())
