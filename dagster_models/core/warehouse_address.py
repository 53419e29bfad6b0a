"""Which warehouse a step, a session or a process works in, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dagster_models.core.target_types import TargetType, target_type
from dagster_models.util.environment import chosen, filled_settings


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a client's own sessions bring along, beside where the warehouse is.

    ``folder`` is where the relative paths of files in SQL begin, ``settings`` are those that do not
    decide where and as whom, ``environment`` the variables that sessions take their defaults from.
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

    A setting may hold ``${NAME}``: only the process that reaches the warehouse fills it in, from
    its own environment, so no password crosses between processes or stands in Dagster's metadata.
    ``folder`` is where the relative paths of files in SQL begin.

    Two addresses that are equal have the same sessions. Which warehouse an address leads to is
    its key (``processes.address.key_of``): it depends on the environment, too.
    """

    type: TargetType
    settings: Mapping[str, Any] = field(repr=False)
    folder: str = ""

    def __hash__(self) -> int:
        return hash(json.dumps(self.to_json(), sort_keys=True, default=str))

    def number(self, name: str) -> float:
        """A setting that is a number; where it is not set its default, 0 if there is none."""
        return self.type.number(self.settings, name)

    def with_settings(self, **settings: Any) -> WarehouseAddress:
        """The address with other values of these settings."""
        return replace(self, settings={**self.settings, **settings})

    def session_request(self, environ: Mapping[str, str]) -> SessionRequest:
        """What a client with this environment asks of its session.

        Raises WarehouseError where a variable of a setting is not set.
        """
        settings = self.type.in_scope(self.settings, "session", "process")
        return SessionRequest(
            self.folder,
            filled_settings(settings, environ),
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
        """The inverse of ``to_json``. Raises WarehouseError for a type that is not known."""
        return cls(target_type(data["type"]), data["settings"], data.get("folder") or "")
