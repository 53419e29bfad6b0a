"""What is known of each type of warehouse, in one table.

A third warehouse is one row here and one folder in ``warehouses/``. Drivers are only named, as
every process loads this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import dsn
from dagster_models.util.environment import filled_settings


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a target.

    ``kind`` says how the project file's value is read. ``secret``: it may hold a password; such a
    setting stays as it is written (``${NAME}``) in the project, and is filled in only where the
    warehouse is reached. ``default``: a number that holds where nothing is set.

    ``scope`` says for whom a value holds:

    - ``place``: it decides where and as whom the warehouse is reached, so another value means
      another warehouse (or another process that reaches it);
    - ``session``: each client's sessions have their own;
    - ``process``: all sessions of a warehouse process share it, so a client that asks for another
      value is refused while others are there.
    """

    name: str
    kind: Literal["text", "integer", "seconds"] = "text"
    secret: bool = False
    default: float = 0.0
    scope: Literal["place", "session", "process"] = "place"


@dataclass(frozen=True, slots=True)
class TargetType:
    """One type of warehouse.

    ``module`` has ``connect`` and ``CAPABILITIES``; only the warehouse process imports it.
    ``dialect`` is the one in which names and values are written, "" for the project's own.
    ``file_setting`` is the setting that names the database file, "" for a server. ``extra`` is the
    extra of this package that installs the driver, "" where the driver is always installed.

    ``identity`` gives all that decides, in an environment, where and as whom a server is reached.
    ``session_environment`` names the variables that sessions take their defaults from.
    """

    name: str
    module: str
    settings: tuple[Setting, ...]
    dialect: str = ""
    file_setting: str = ""
    extra: str = ""
    identity: Callable[[Mapping[str, Any], Mapping[str, str]], Mapping[str, str]] = filled_settings
    session_environment: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the settings that may hold a password."""
        return frozenset(setting.name for setting in self.settings if setting.secret)

    def in_scope(self, settings: Mapping[str, Any], *scopes: str) -> dict[str, Any]:
        """Those of the settings that have a value and one of these scopes."""
        names = {setting.name for setting in self.settings if setting.scope in scopes}
        return {k: v for k, v in settings.items() if k in names and v not in (None, "")}

    def number(self, settings: Mapping[str, Any], name: str) -> float:
        """A setting that is a number; where it is not set its default, 0 if there is none."""
        default = next((it.default for it in self.settings if it.name == name), 0.0)
        return float(settings.get(name, default))


#: For so long the warehouse process waits for another client before it ends; the longest counts.
_IDLE = Setting("idle_seconds", "seconds", default=2.0, scope="session")

DUCKDB = TargetType(
    "duckdb",
    "dagster_models.warehouses.duckdb.session",
    (
        Setting("path"),
        Setting("memory_limit", scope="process"),
        Setting("threads", "integer", scope="process"),
        _IDLE,
    ),
    file_setting="path",
    # Its TimeZone comes from TZ, its Calendar from the locale, and ~ in paths is HOME.
    session_environment=("TZ", "LC_ALL", "LC_MESSAGES", "LANG", "HOME"),
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
        Setting("connect_seconds", "seconds", default=10.0, scope="session"),
        Setting("lock_timeout", "seconds", default=30.0, scope="session"),
        _IDLE,
    ),
    dialect="postgres",
    extra="postgres",
    identity=dsn.identity,
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
