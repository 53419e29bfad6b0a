"""The project's warehouse for the user's own Dagster assets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, EnvVar, InitResourceContext
from pydantic import Field, PrivateAttr, field_validator

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.execution.options import TARGET_TAG, chosen_target
from dagster_models.processes.client.session import connect
from dagster_models.processes.client.warehouse import Connection, Warehouse


class WarehouseResource(ConfigurableResource):  # type: ignore[type-arg]
    """The warehouse that a project's models are built in, as a Dagster resource.

    ``load_project`` provides it as ``warehouse``. An asset of your own uses it like this::

        @asset
        def top_carriers(warehouse: WarehouseResource) -> None:
            with warehouse.connect() as connection:
                print(connection.table("marts.carrier_delays").df())

    ``type`` and ``settings`` are those of a target; relative paths of files that SQL reads begin
    at ``folder``. A setting may be an ``EnvVar``. ``targets`` (name -> type and settings) are
    those that a run may choose instead, by its tag ``dagster_models/target`` or its run config.
    """

    type: str = "duckdb"
    settings: dict[str, Any] = Field(default_factory=dict)
    folder: str = ""
    targets: dict[str, Any] = Field(default_factory=dict)
    _target: str | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Called by Dagster: what the run asks for holds for its models and for this alike."""
        run = context.run
        self._target = chosen_target(run.tags, run.run_config) if run is not None else None

    @field_validator("settings", mode="before")
    @classmethod
    def _variables(cls, settings: Any) -> Any:
        """An EnvVar as ``${NAME}``, which only the process that connects fills in: Dagster would
        hand its value to whoever shows the resource's settings."""
        if not isinstance(settings, dict):
            return settings
        return {key: _as_variable(value) for key, value in settings.items()}

    @contextmanager
    def connect(self) -> Iterator[Warehouse]:
        """A ``Warehouse`` with sql, table, execute and load, on a session of its own.

        Raises:
            WarehouseError: the warehouse cannot be reached, or the run asks for a target that is
                not there.
        """
        chosen = {"type": self.type, "settings": self.settings}
        if self._target is not None and self.targets:  # one of the user's own has none to choose
            chosen = self._chosen(self._target)
        address = WarehouseAddress.from_json({**chosen, "folder": self.folder})
        connection = Connection(lambda: connect(address))
        try:
            yield Warehouse(connection)
        finally:
            connection.close()

    def _chosen(self, target: str) -> dict[str, Any]:
        if target not in self.targets:
            raise WarehouseError(
                ErrorKind.INVALID_SETTINGS,
                f"there is no target `{target}`, which the run asks for (run tag {TARGET_TAG}, or"
                f" `target` in its run config). Targets: {', '.join(self.targets)}",
            )
        return dict(self.targets[target])


def _as_variable(value: Any) -> Any:
    if isinstance(value, EnvVar):
        return f"${{{value.env_var_name}}}"
    if isinstance(value, dict) and set(value) == {"env"}:  # the same, once in Dagster's config
        return f"${{{value['env']}}}"
    return value
