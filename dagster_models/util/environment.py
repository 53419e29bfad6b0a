"""``${NAME}`` in settings, which stands for the value of an environment variable.

As in a shell, the default of ``${NAME:-default}`` counts where the variable is not set or is empty,
and that of ``${NAME-default}`` only where it is not set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError

#: A variable, with its ``name`` and its ``default``, None if it has none, behind the ``mark``. A
#: default holds no braces.
VARIABLE = re.compile(
    r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<mark>:?-)(?P<default>[^{}]*))?\}"
)


def filled(text: str, environ: Mapping[str, str]) -> str:
    """*text* with each variable's value, or its default, filled in; one that has neither stays as
    it is written."""
    return VARIABLE.sub(lambda match: _value(match, environ), text)


def _value(match: re.Match[str], environ: Mapping[str, str]) -> str:
    name, default = match["name"], match["default"]
    if default is None:
        return environ.get(name, match[0])
    value = environ.get(name, default)
    return default if match["mark"] == ":-" and not value else value


def names_in(value: Any) -> list[str]:
    """The names of the variables without a default in a setting, in order: those that have to be
    set."""
    if isinstance(value, Mapping):
        return [name for item in value.values() for name in names_in(item)]
    if not isinstance(value, str):
        return []
    return [match["name"] for match in VARIABLE.finditer(value) if match["default"] is None]


def filled_settings(settings: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings with ``${NAME}`` filled in. Raises WarehouseError if a variable is not set."""
    unset = [n for v in settings.values() for n in names_in(v) if n not in environ]
    if unset:
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"the environment variable {', '.join(dict.fromkeys(unset))} is not set in this"
            " process, and the warehouse cannot be reached without it",
        )
    return {key: _filled(value, environ) for key, value in settings.items()}


def _filled(value: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, environ) for key, item in value.items()}
    return filled(value, environ) if isinstance(value, str) else value


def chosen(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The variables with these names that are set. A name may end in ``*``."""
    prefixes = tuple(name[:-1] for name in names if name.endswith("*"))
    wanted = {name for name in names if not name.endswith("*")}
    return {
        name: value
        for name, value in sorted(environ.items())
        if name in wanted or (prefixes and name.startswith(prefixes))
    }
