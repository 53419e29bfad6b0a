"""The types of warehouses, and where they are found.

A warehouse is one folder in ``warehouses/``, or a package of its own. Its ``TargetType`` is all
that other rooms know of it. One of ours is called as its folder, in capitals, and is in the module
``target`` there, which loads no driver; a package names its own by an entry point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from dagster_models.core.copy_forms import CopyForms
from dagster_models.core.value_forms import ValueForms
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.environment import filled_settings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a target.

    ``kind`` says how the value in the project file is read: a "path" starts at the project's
    folder, unless it is a URL. A ``secret`` setting may hold a password: it stays as it is written
    (``${NAME}``) in the project, and only the process that reaches the warehouse fills it in.
    ``default`` is the number that applies if nothing is set.

    ``scope`` says who shares a value:

    - ``place``: the setting decides where and as whom the warehouse is reached, so another value
      means another warehouse (or another process that reaches it);
    - ``session``: each client's sessions have their own value;
    - ``process``: all sessions of a warehouse process share the value, so a client that asks for
      another one is refused while other clients are there.
    """

    name: str
    kind: Literal["text", "integer", "seconds", "attach", "path"] = "text"
    secret: bool = False
    default: float = 0.0
    scope: Literal["place", "session", "process"] = "place"


@dataclass(frozen=True, slots=True)
class TargetType:
    """One type of warehouse.

    ``value_forms`` are how it writes values as text, for comparisons that are exact, and
    ``copy_forms`` say which of its types have an equal elsewhere.
    ``module`` has ``connect`` and ``CAPABILITIES``; only the warehouse process imports it.
    ``dialect`` is the one in which names and values are written, or "" for the project's own.
    ``file_setting`` names the setting with the path of the database file, or is "" for a server.
    ``extra`` is the extra of this package that installs the driver, or "" if the driver is always
    installed.

    ``needs``: of each of these groups of settings exactly one must be set.
    ``catalog`` is the name that its database always has in SQL, or "".
    ``own_schemas`` is how the names begin that it keeps for its own schemas, "" if it does not.
    ``databases`` are the names of databases that are always there beside the target's own.
    ``lacks``: what a model may ask for and it cannot have -> the reason.
    ``identity`` gives all that decides, in an environment, where and as whom a server is reached.
    ``from_elsewhere``: whether processes on other machines can have sessions there, whose end any
    other session can await.
    ``session_environment`` names the variables that sessions take their defaults from.
    ``why_no_name``: why a name can be none of a schema or relation there, "" if it can;
    ``why_no_column``: the same for a column. None: every name can.
    ``process_environment``: variables that its process has unless the client has them already.
    ``needs_pandas``: whether its process may import pandas. pyarrow and drivers do so wherever it
    is installed, which takes 0.3 s and 70 MiB, and use it for nothing that is asked of them there.
    """

    name: str
    module: str
    settings: tuple[Setting, ...]
    value_forms: ValueForms
    copy_forms: CopyForms
    dialect: str = ""
    file_setting: str = ""
    extra: str = ""
    needs: tuple[tuple[str, ...], ...] = ()
    catalog: str = ""
    own_schemas: str = ""
    databases: tuple[str, ...] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
    identity: Callable[[Mapping[str, Any], Mapping[str, str]], Mapping[str, str]] = filled_settings
    session_environment: tuple[str, ...] = ()
    from_elsewhere: bool = False
    why_no_name: Callable[[str], str] | None = None
    why_no_column: Callable[[str], str] | None = None
    process_environment: Mapping[str, str] = field(default_factory=dict)
    needs_pandas: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the settings that may hold a password."""
        return frozenset(setting.name for setting in self.settings if setting.secret)

    def in_scope(self, settings: Mapping[str, Any], *scopes: str) -> dict[str, Any]:
        """The settings that have a value and one of these scopes."""
        names = {setting.name for setting in self.settings if setting.scope in scopes}
        return {k: v for k, v in settings.items() if k in names and v not in (None, "")}

    def number(self, settings: Mapping[str, Any], name: str) -> float:
        """The value of a setting that is a number, or its default; 0 if it has none."""
        default = next((it.default for it in self.settings if it.name == name), 0.0)
        return float(settings.get(name, default))


#: How long the warehouse process waits for another client before it ends. If its clients have
#: different values, the longest counts.
IDLE = Setting("idle_seconds", "seconds", default=2.0, scope="session")

#: The type of a project that names none.
DEFAULT = "duckdb"

#: Where our own types are: each in the module ``target`` of a folder that has its name.
_OWN = "dagster_models.warehouses"
#: The group of entry points by which a package offers a type of its own: the name is the type's,
#: and the object is its TargetType.
ENTRY_POINTS = "dagster_models.warehouses"


def target_type(name: str) -> TargetType:
    """The type of that name, ours or a package's. Raises WarehouseError if there is none."""
    found = _own(name) or _offered(name)
    if found is None:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"type: {name!r} is not a type of warehouse. Known types: {', '.join(type_names())}",
        )
    return found


def type_names() -> list[str]:
    """The names of all types that can be had here."""
    return sorted({*own_types(), *(point.name for point in _entry_points())})


@cache
def own_types() -> Mapping[str, TargetType]:
    """The types of this package by their names."""
    from pkgutil import iter_modules  # seldom needed, and every process loads this module

    folders = sorted(it.name for it in iter_modules(import_module(_OWN).__path__) if it.ispkg)
    found = ((name, _own(name)) for name in folders)
    return {name: type_ for name, type_ in found if type_ is not None}


@cache
def _own(name: str) -> TargetType | None:
    """The type of one of our own folders; None for another name."""
    folder = f"{_OWN}.{name}"
    try:
        module = import_module(f"{folder}.target") if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name not in (folder, f"{folder}.target"):
            raise
        module = None
    found: TargetType | None = getattr(module, name.upper(), None)
    return found


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    # Only for a name that is not ours: the import and the search take 50 ms.
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINTS))


@cache
def _offered(name: str) -> TargetType | None:
    """The type that another package offers. Raises WarehouseError if it cannot be loaded."""
    point = next((point for point in _entry_points() if point.name == name), None)
    if point is None:
        return None
    try:
        found = point.load()
    except Exception as error:  # whatever the package does when it is imported
        raise _unusable(point, f"it cannot be loaded ({type(error).__name__}: {error})") from error
    if not isinstance(found, TargetType) or found.name != name:
        raise _unusable(point, f"it is no TargetType with the name {name!r}, but {found!r}")
    return found


def _unusable(point: EntryPoint, why: str) -> WarehouseError:
    package = point.dist.name if point.dist is not None else "a package"
    return WarehouseError(
        ErrorKind.INVALID_SETTINGS,
        f"type {point.name}: {package} offers it as {point.value}, and {why}. Correct or upgrade"
        " that package",
        name="WarehouseTypeUnusable",
    )
