"""The project's warehouse for the user's own Dagster assets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from dagster_models.session import connect
from dagster_models.warehouse import Connection, Warehouse


class WarehouseResource(ConfigurableResource):  # type: ignore[type-arg]
    """The warehouse that a project's models are built in, as a Dagster resource.

    ``load_project`` provides it as ``warehouse``. An asset of your own uses it like this::

        @asset
        def top_carriers(warehouse: WarehouseResource) -> None:
            with warehouse.connect() as connection:
                print(connection.table("marts.carrier_delays").df())

    ``type`` and ``settings`` are those of a target; relative paths of files that SQL reads begin
    at ``folder``.
    """

    type: str = "duckdb"
    settings: dict[str, Any] = Field(default_factory=dict)
    folder: str = ""

    @contextmanager
    def connect(self) -> Iterator[Warehouse]:
        """A ``Warehouse`` with sql, table, execute and load, on a session of its own.

        Raises:
            WarehouseError: the warehouse cannot be reached.
        """
        spec = {"type": self.type, "settings": self.settings, "folder": self.folder}
        connection = Connection(lambda: connect(spec))
        try:
            yield Warehouse(connection)
        finally:
            connection.close()
