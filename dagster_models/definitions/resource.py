"""The project's warehouse for the user's own Dagster assets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dagster import ConfigurableResource, EnvVar, InitResourceContext, ResourceDefinition
from pydantic import Field, PrivateAttr, field_validator

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.target_types import DEFAULT
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.execution.options import TARGET_TAG, chosen_target
from dagster_models.processes.address import key_of
from dagster_models.processes.client.session import connect
from dagster_models.processes.client.step_connection import StepConnection
from dagster_models.processes.client.warehouse import Warehouse
from dagster_models.project.settings import TARGET_VARIABLE


class WarehouseResource(ConfigurableResource):  # type: ignore[type-arg]
    """The warehouse in which a project's models are built, as a Dagster resource.

    ``load_project`` provides it as ``warehouse``. Your own assets use it like this::

        @asset
        def top_carriers(warehouse: WarehouseResource) -> None:
            with warehouse.connect() as connection:
                print(connection.table("marts.carrier_delays").df())

    ``type`` and ``settings`` are those of a target, and relative paths of files in SQL start at
    ``folder``. A setting may be an ``EnvVar``. ``targets`` maps names to the types and settings
    that a run may choose instead, by its tag ``dagster_models/target`` or its run config.
    """

    type: str = DEFAULT
    settings: dict[str, Any] = Field(default_factory=dict)
    folder: str = ""
    targets: dict[str, Any] = Field(default_factory=dict)
    _target: str | None = PrivateAttr(default=None)

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Called by Dagster. The target that a run asks for is the resource's target, too."""
        run = context.run
        self._target = chosen_target(run.tags, run.run_config) if run is not None else None

    @field_validator("settings", mode="before")
    @classmethod
    def _variables(cls, settings: Any) -> Any:
        """Replace each EnvVar by ``${NAME}``, which only the process that connects fills in.

        Dagster would show the value to whoever looks at the resource's settings.
        """
        if not isinstance(settings, dict):
            return settings
        return {key: _as_variable(value) for key, value in settings.items()}

    @contextmanager
    def connect(self) -> Iterator[Warehouse]:
        """A ``Warehouse`` with sql, table, execute and load, in a session of its own.

        Raises:
            WarehouseError: the warehouse cannot be reached, or the run asks for a target that does
                not exist.
        """
        address = self.address(self._target)
        connection = StepConnection(lambda: connect(address))
        try:
            yield Warehouse(connection)
        finally:
            connection.close()

    def address(self, target: str | None) -> WarehouseAddress:
        """The address of the warehouse in a run that asks for *target*.

        Raises:
            WarehouseError: there is no such target.
        """
        chosen = {"type": self.type, "settings": self.settings}
        if target is not None and self.targets:  # a resource that users make has no targets
            chosen = self._chosen(target)
        return WarehouseAddress.from_json({**chosen, "folder": self.folder})

    def _chosen(self, target: str) -> dict[str, Any]:
        if target not in self.targets:
            raise WarehouseError(
                ErrorKind.INVALID_SETTINGS,
                f"there is no target `{target}`, which the run asks for (by its tag {TARGET_TAG} or"
                f" by `target` in its run config). Targets: {', '.join(self.targets)}",
            )
        return dict(self.targets[target])


def refuse_another_warehouse(
    target_step: TargetStep, given: object | None, target: str | None
) -> None:
    """Refuse to build where the project's resource was replaced by one that leads elsewhere: a test
    that gives it would otherwise build in the real warehouse, and look into another one.

    ``given``: the resource that the run has instead. ``target``: the one that the run asks for.

    Raises:
        WarehouseError: see above.
    """
    if given is None:
        return
    key, own = target_step.resource_key, target_step.address
    if not isinstance(given, WarehouseResource) or not _is_same(given.address(target), own):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the resource `{key}` leads to another warehouse than the target"
            f" `{target_step.target.name}` of {target_step.project.name}, in which its models are"
            " built. To build elsewhere, add a target to dagster_models.yaml and choose it with the"
            f" run tag {TARGET_TAG} (`materialize(..., tags=...)`) or {TARGET_VARIABLE}; a resource"
            " for your own assets needs another key",
        )


def _is_same(one: WarehouseAddress, other: WarehouseAddress) -> bool:
    """Whether two addresses lead to the same warehouse."""
    if (one.type, one.settings) == (other.type, other.settings):
        return True
    try:
        return one.type == other.type and key_of(one) == key_of(other)
    except WarehouseError:  # one of them leads nowhere
        return False


def given_resource(
    key: str, definitions: Mapping[str, ResourceDefinition], run_config: Mapping[str, Any]
) -> object | None:
    """The resource of a job with this key: a WarehouseResource, whatever else it is, or None."""
    definition = definitions.get(key)
    # Dagster makes a definition of the resource, whose function is a method of the resource.
    found = getattr(getattr(definition, "resource_fn", None), "__self__", None)
    if isinstance(found, WarehouseResource):
        return found
    if getattr(definition, "configurable_resource_cls", None) is WarehouseResource:
        # WarehouseResource.configure_at_launch(): only the run config says where it leads.
        config = (run_config.get("resources") or {}).get(key) or {}
        return WarehouseResource(**(config.get("config") or {}))
    return definition


def _as_variable(value: Any) -> Any:
    if isinstance(value, EnvVar):
        return f"${{{value.env_var_name}}}"
    if isinstance(value, dict) and set(value) == {"env"}:  # an EnvVar in Dagster's run config
        return f"${{{value['env']}}}"
    return value
