"""What a unit test asks of a session: relations that are built, and that do not stay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from dagster_models.core.model import Relation


class Rehearsing(ABC):
    """As a session has it whose transactions hold several statements; others override it."""

    def begin_rehearsal(self) -> None:
        """Begin what ``rollback`` ends, and with it all that ``rehearse`` has built. The session is
        in UTC from here on."""
        self.execute("SET SESSION TimeZone = 'UTC'")
        self.begin()

    @property
    def in_rehearsal(self) -> bool:
        return self.in_transaction

    def complete(self, relation: Relation, added: Sequence[tuple[str, str]], mark: str) -> None:
        """Let a table that was rehearsed have more columns, (name, type), NULL in each row. *mark*:
        the one in which a snapshot marks deletions, "" for none."""
        table = f"ALTER TABLE {self.quoted(relation)}"
        for name, type_ in added:
            self.execute(f"{table} ADD COLUMN {self.quote(name)} {type_}")
        if mark:  # a column of its name without a default is somebody else's
            self.execute(f"{table} ALTER COLUMN {self.quote(mark)} SET DEFAULT false")

    @abstractmethod
    def execute(self, sql: str) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def begin(self) -> None: ...

    @property
    @abstractmethod
    def in_transaction(self) -> bool: ...

    @abstractmethod
    def quote(self, name: str) -> str: ...

    @abstractmethod
    def quoted(self, relation: Relation) -> str: ...
