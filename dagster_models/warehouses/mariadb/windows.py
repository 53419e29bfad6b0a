"""Windows of a column as SQL of MariaDB, whose TIMESTAMP is a moment; the session is in UTC."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.warehouses import backquotes
from dagster_models.warehouses.mariadb import text
from dagster_models.warehouses.mariadb.types import ColumnType
from dagster_models.warehouses.materializations.windows import WindowColumn, WindowKind

#: What is before and after every value that a table can hold: there is no infinity.
_ENDS = {"-infinity": "0001-01-01 00:00:00", "infinity": "9999-12-31 23:59:59"}
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class MariaColumn(WindowColumn):
    """``type_`` is in the words of other warehouses: see ``of``."""

    @classmethod
    def of(cls, name: str, type_: str) -> MariaColumn:
        is_moment = type_.lower().startswith("timestamp")
        return cls(name, "timestamp with time zone" if is_moment else type_)

    @property
    def quoted(self) -> str:
        return backquotes.quote(self.name)

    def literal(self, given: str) -> str:
        return text.literal(given)

    def typed(self, kind: WindowKind, given: str) -> str:
        given = _ENDS.get(given, given)
        if kind is WindowKind.DATE:
            return f"DATE {self.literal(given[:10])}"
        moment = dt.datetime.fromisoformat(given)
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.timezone.utc).replace(tzinfo=None)
        return f"TIMESTAMP {self.literal(moment.isoformat(' '))}"

    def _among(self, listed: Sequence[str]) -> str:
        given = ", ".join(listed)
        found = f"{self.quoted} IN ({given})"
        if self.type_.startswith("enum") or ColumnType.of(self.type_).is_text:
            return f"({found} AND {text.exact(self.quoted)} IN ({given}))"
        return found

    def _value(self, value: str) -> str:
        is_plain = ColumnType.of(self.type_).is_number and _NUMBER.match(value)
        return value if is_plain else self.literal(value)
