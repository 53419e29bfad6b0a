"""What is known of each type of warehouse, in one table.

A third warehouse is one row here and one folder in ``warehouses/``. Drivers are only named, as
every process loads this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dagster_models.errors import ErrorKind, WarehouseError


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a target.

    ``kind`` says how the project file's value is read. ``secret``: it may hold a password; such a
    setting stays as it is written (``${NAME}``) in the project, and is filled in only where the
    warehouse is reached. ``default``: a number that holds where nothing is set.
    """

    name: str
    kind: Literal["text", "integer", "seconds"] = "text"
    secret: bool = False
    default: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetType:
    """One type of warehouse.

    ``module`` has ``connect`` and ``CAPABILITIES``; only the warehouse process imports it.
    ``dialect`` is the one in which names and values are written, "" for the project's own.
    ``file_setting`` is the setting that names the database file, "" for a server. ``extra`` is the
    extra of this package that installs the driver, "" where the driver is always installed.
    """

    name: str
    module: str
    settings: tuple[Setting, ...]
    dialect: str = ""
    file_setting: str = ""
    extra: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the settings that may hold a password."""
        return frozenset(setting.name for setting in self.settings if setting.secret)

    def number(self, settings: Mapping[str, Any], name: str) -> float:
        """A setting that is a number; where it is not set its default, 0 if there is none."""
        default = next((it.default for it in self.settings if it.name == name), 0.0)
        return float(settings.get(name, default))


#: For so long the warehouse process waits for another client before it ends.
_IDLE = Setting("idle_seconds", "seconds", default=2.0)

DUCKDB = TargetType(
    "duckdb",
    "dagster_models.warehouses.duckdb.session",
    (
        Setting("path"),
        Setting("memory_limit"),
        Setting("threads", "integer"),
        _IDLE,
    ),
    file_setting="path",
)

POSTGRES = TargetType(
    "postgres",
    "dagster_models.warehouses.postgres.session",
    (
        Setting("dsn", secret=True),
        Setting("host"),
        Setting("port", "integer"),
        Setting("dbname"),
        Setting("user"),
        Setting("password", secret=True),
        Setting("sslmode"),
        Setting("sslrootcert"),
        Setting("sslcert"),
        Setting("sslkey"),
        # A server that does not answer may be restarting: it is tried for so long.
        Setting("connect_seconds", "seconds", default=10.0),
        Setting("lock_timeout", "seconds", default=30.0),
        _IDLE,
    ),
    dialect="postgres",
    extra="postgres",
)

TARGET_TYPES: Mapping[str, TargetType] = {row.name: row for row in (DUCKDB, POSTGRES)}


def target_type(name: str) -> TargetType:
    """The type of that name. Raises WarehouseError where there is none."""
    if name not in TARGET_TYPES:
        known = ", ".join(TARGET_TYPES)
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"type: {name!r} is not a type of warehouse. There are: {known}",
        )
    return TARGET_TYPES[name]
