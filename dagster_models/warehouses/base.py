"""What every warehouse offers: a small interface over its native driver.

    Warehouse            one database, open in this process
      └── WarehouseSession     one connection or cursor of it; used by one thread at a time

A session speaks in relations and in the user's own SQL text; how a warehouse spells a table, reads
a CSV file or replaces a view by a table is its own file's business. Every method that reaches the
database raises ``errors.WarehouseError``, in which ``line`` counts in the *user's* text.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dagster_models.core.model import Relation

#: The schema and table of the commit records, the same in every warehouse.
RECORDS = Relation("dagster_models", "commits")

#: What a warehouse may offer, and what that means. What one lacks is in its ``Capabilities``.
FEATURES: Mapping[str, str] = {
    "publish": "table, view, seed, Python model: one transaction with its commit record",
    "cancel": "a running statement is stopped from another thread, and its answer proves it",
    "error_line": "an error of a text names its line",
    "runtime_error_line": "an error that comes up while rows are read names its line",
    "seed_error_line": "a bad row or value of a seed is named with its line in the file",
    "type_change": "a table becomes a view, and back, under the readers of its name",
    "dependent_views": "views on a table survive its rebuild, also views of others",
    "grants": "grants and comments on a relation survive its rebuild",
    "indexes": "indexes on a table survive its rebuild",
    "size": "the bytes that a table takes are known",
    "snapshot_readers": "a long reading transaction neither delays a rebuild nor sees it",
    "two_processes": "several processes, also of several machines, may write at once",
    "local_files": "SQL may read files of this machine",
    "nested_types": "structs and maps are types of their own",
    "unsigned_types": "integers without a sign are types of their own",
    "decimal_nan": "an exact number may be NaN",
    "any_name": "names of any length",
}


@dataclass(frozen=True, slots=True)
class Commit:
    """One row of the commit record table: the proof that an attempt was published.

    ``rows`` is None where nobody counted (a view); ``committed_at`` is ISO 8601 in UTC, set by the
    warehouse when the record is written.
    """

    run_id: str
    step: str
    attempt: int
    relation: str
    code_version: str
    input_versions: Mapping[str, str]
    rows: int | None = None
    committed_at: str = ""

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Commit:
        """From the columns of the table, in their order; input versions and time as text."""
        run_id, step, attempt, relation, code_version, inputs, rows, committed_at = row
        versions = json.loads(inputs or "{}")
        return cls(run_id, step, attempt, relation, code_version, versions, rows, committed_at)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between warehouses, as data: nobody asks which one it is.

    ``shared_fate``: sessions and this process end together (the database is open in it); else a
    session can be lost alone, and can outlive this process. ``lacks``: feature -> the reason.
    """

    name: str
    shared_fate: bool
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.lacks) - set(FEATURES)
        if unknown:
            raise ValueError(f"{self.name} lacks what is no feature: {sorted(unknown)}")


class WarehouseSession(ABC):
    """One connection or cursor. Only ``interrupt`` may be called from another thread."""

    def await_gone(self, name: str, timeout_seconds: float) -> bool:
        """Wait for the end of another session, which this process does not have (any more).

        True if nothing can be committed by it any more; where sessions end with the process that
        holds them, that is so.
        """
        return True

    def read_files_from(self, folder: str) -> None:  # noqa: B027 - most read no local files
        """Resolve the relative paths of files that SQL reads against *folder*."""

    @abstractmethod
    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run the user's statements; rows of the last one, fetched.

        A COMMIT after an error in the same transaction raises (and rolls back): some warehouses
        would answer it with a silent rollback.
        """

    @abstractmethod
    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one query."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """An explicit transaction is open."""

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None:
        """Back to before ``begin``; harmless where no transaction is open. Never raises."""

    @abstractmethod
    def interrupt(self) -> None:
        """Stop the statement that is running, if any; may be lost if one is just starting."""

    def cut_off(self) -> None:  # noqa: B027 - a cursor has nothing to cut
        """From another thread, for a session that hears no interrupt and whose client is gone: end
        its connection, so that the server rolls back."""

    @abstractmethod
    def close(self) -> None:
        """Roll back and free; harmless when repeated."""

    @abstractmethod
    def create(self, relation: Relation, materialized: str, sql: str) -> int | None:
        """Build ``relation`` ("table" or "view") from the user's query in the open transaction,
        in place of whatever bears its name. Rows of a table, None for a view. This, or one of the
        next two, is the first statement of its transaction."""

    @abstractmethod
    def create_from_csv(
        self, relation: Relation, path: str, column_types: Mapping[str, str]
    ) -> int:
        """Build a table from a CSV file with a header; ``line`` of an error is the file's."""

    @abstractmethod
    def create_from_arrow(self, relation: Relation, path: str) -> int:
        """Build a table from an Arrow IPC file."""

    @abstractmethod
    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        """(name, type) of each column, in order."""

    def size(self, relation: Relation) -> int | None:
        """The bytes that it takes in storage; None where that is not known, or it is a view."""
        return None

    @abstractmethod
    def count(self, sql: str) -> int:
        """How many rows a query returns."""

    @abstractmethod
    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        """Write a query's rows to a new Arrow IPC file, in the first of ``folders`` that has room;
        its path and the number of rows."""

    @abstractmethod
    def load(self, path: str, relation: str, mode: str) -> int:
        """Write an Arrow IPC file to a table, mode "replace" or "append"; the number of rows.
        ``relation`` is SQL: a name, quoted where it must be."""

    @abstractmethod
    def prepare(self, schemas: Sequence[str]) -> None:
        """Create the schemas and the commit record table where missing. Not for use by two
        sessions at once."""

    @abstractmethod
    def write_record(self, commit: Commit) -> None:
        """In the open transaction, so that it is there exactly when the publication is."""

    @abstractmethod
    def find_record(self, run_id: str, step: str, attempt: int) -> Commit | None: ...

    @abstractmethod
    def last_records(self) -> list[Commit]:
        """The last commit record of each relation: who published what is there now."""


class Warehouse(ABC):
    """One database, open in this process."""

    capabilities: Capabilities

    @abstractmethod
    def session(
        self, name: str = "", given_up: Callable[[], bool] = lambda: False
    ) -> WarehouseSession:
        """A new session; ``name`` is how a server shows it, and how ``await_gone`` finds it.

        ``given_up``: asked now and then while a server keeps us waiting; true: nobody wants the
        session any more, and the error's kind is ErrorKind.INTERRUPTED.
        """

    def is_replaced(self) -> bool:
        """What is open is not what the settings name any more: all that is written would be lost
        unseen."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Only after every session is closed."""


def quoted(relation: Relation) -> str:
    """The relation's full name with every part quoted as standard SQL does."""
    parts: Iterable[str | None] = (relation.catalog, relation.schema, relation.name)
    return ".".join(quote(part) for part in parts if part)


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string as a literal of standard SQL."""
    return "'" + text.replace("'", "''") + "'"
