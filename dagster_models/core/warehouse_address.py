"""The warehouse that a step, a session or a process works in, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dagster_models.core.target_types import TargetType, target_type
from dagster_models.util.environment import chosen, filled_settings


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a client asks of its own sessions, besides the place of the warehouse.

    Relative paths of files in SQL start at ``folder``. ``settings`` are those that do not decide
    where and as whom the warehouse is reached; one that may hold a password is as it was written.
    ``environment`` holds the variables from which
    sessions take their defaults.
    """

    folder: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionRequest:
        return cls(data["folder"], data["settings"], data["environment"])


@dataclass(frozen=True, slots=True)
class WarehouseAddress:
    """A type of warehouse and its settings, as the project or the user's code wrote them.

    A setting may hold ``${NAME}``. Only the process that reaches the warehouse fills it in, from
    its own environment, so no password crosses between processes or appears in Dagster's metadata.
    Relative paths of files in SQL start at ``folder``.

    Equal addresses share sessions. The key of an address (``processes.address.key_of``) says which
    warehouse it leads to, and depends on the environment too.
    """

    type: TargetType
    settings: Mapping[str, Any] = field(repr=False)
    folder: str = ""

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True, default=str))

    def number(self, name: str) -> float:
        """The value of a setting that is a number, or its default; 0 if it has none."""
        return self.type.number(self.settings, name)

    def with_settings(self, **settings: Any) -> WarehouseAddress:
        """The same address with these settings replaced."""
        return replace(self, settings={**self.settings, **settings})

    def session_request(self, environ: Mapping[str, str]) -> SessionRequest:
        """What a client with this environment asks of its sessions.

        Raises WarehouseError if a variable of a setting is not set.
        """
        asked = self.type.in_scope(self.settings, "session", "process")
        secret = {name: value for name, value in asked.items() if name in self.type.secrets}
        return SessionRequest(
            self.folder,
            {**filled_settings({k: asked[k] for k in asked if k not in secret}, environ), **secret},
            chosen(environ, self.type.session_environment),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "type": self.type.name,
            "settings": dict(self.settings),
            "folder": self.folder,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> WarehouseAddress:
        """The inverse of ``to_json``. Raises WarehouseError if the type is not known."""
        return cls(target_type(data["type"]), data["settings"], data.get("folder") or "")
