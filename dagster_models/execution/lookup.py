"""What the run worker asks a warehouse between the steps, on a session of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.errors import WarehouseError, WarehouseLost
from dagster_models.processes.client.session import connect


def can_be_read(spec: Mapping[str, Any], relation: str) -> tuple[bool, str]:
    """Whether *relation* (SQL) is there and can be read; and why that cannot be told, else "".

    A view whose own relations are gone cannot be read: it is nothing to build on.
    """
    try:
        with connect(spec) as session:
            session.query(f"select 1 as found from {relation} where 1 = 0")
        return True, ""
    except WarehouseLost as error:
        return False, f"whether its previous version is there cannot be told: {error}"
    except WarehouseError:
        return False, ""
