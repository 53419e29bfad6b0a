"""What every warehouse offers: a small interface over its native driver.

    OpenWarehouse            one database, open in this process
      └── WarehouseSession     one connection or cursor of it; used by one thread at a time

A session speaks in relations and in the user's own SQL text; how a warehouse spells a table, reads
a CSV file or replaces a view by a table is its own folder's business. Every method that reaches the
database raises ``errors.WarehouseError``, in which ``line`` counts in the *user's* text.

A relation is published in two steps, whatever a warehouse's transactions are like:

    staged = session.build(task)            no reader sees it; checks read name_of(staged)
    session.publish(staged, commit)         the one atomic act, which leaves the proof too
    session.discard()                       instead of it; harmless where nothing was built

``Capabilities.publishing`` says what makes the act atomic. Where a session was lost between them,
``fence`` waits until nothing of it can be published any more, and ``find_proof`` then decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId, BuildTask
from dagster_models.core.warehouse_address import SessionRequest

#: What a warehouse may offer, and what that means. What one lacks is in its ``Capabilities``.
FEATURES: Mapping[str, str] = {
    "publish": "table, view, seed, Python model: one transaction with its commit record",
    "cancel": "another thread can stop a running statement, and the statement's answer proves it",
    "error_line": "an error in the text of a statement names its line",
    "runtime_error_line": "an error that arises while rows are read names its line",
    "seed_error_line": "an error in a row or value of a seed names its line in the file",
    "type_change": "a table can become a view, and back, while others read it by name",
    "dependent_views": "views on a table survive its rebuild, other users' views included",
    "grants": "grants and comments on a relation survive its rebuild",
    "indexes": "indexes on a table survive its rebuild",
    "size": "the size of a table in bytes is known",
    "snapshot_readers": "a long-running reader neither delays a rebuild nor sees it",
    "two_processes": "several processes, on several machines too, may write at once",
    "local_files": "SQL may read files on this machine",
    "nested_types": "structs and maps are types of their own",
    "unsigned_types": "unsigned integers are types of their own",
    "decimal_nan": "a decimal number may be NaN",
    "any_name": "names may have any length",
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between warehouses, as data: nobody asks which one it is.

    ``publishing``: how data and proof become visible at once. "transaction": both are written in
    one; "commit": the table's own history holds the proof; "swap": a staged table carries it, and
    one atomic rename puts it in place. ``shared_fate``: sessions and this process end together
    (the database is open in it); else a session can be lost alone, and can outlive this process.
    ``lacks``: feature -> the reason.
    """

    name: str
    shared_fate: bool
    publishing: Literal["transaction", "commit", "swap"] = "transaction"
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.lacks) - set(FEATURES)
        if unknown:
            raise ValueError(f"{self.name} lacks what is no feature: {sorted(unknown)}")


@dataclass(frozen=True, slots=True)
class Staged:
    """A relation that is built and not published. ``rows`` is None where nobody counted."""

    relation: Relation
    rows: int | None


class WarehouseSession(ABC):
    """One connection or cursor. Only ``interrupt`` may be called from another thread."""

    def fence(self, name: str, timeout_seconds: float) -> bool:
        """Wait until another session, which this process does not have (any more), can publish
        nothing. False: it still could after so many seconds.

        Where sessions end with the process that holds them there is nothing to wait for.
        """
        return True

    @abstractmethod
    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Run the user's statements; return the rows of the last one.

        A COMMIT after an error in the same transaction raises (and rolls back): some warehouses
        would answer it with a silent rollback.
        """

    @abstractmethod
    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names and rows of one query."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether an explicit transaction is open."""

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None:
        """Undo all since ``begin``; harmless where no transaction is open. Never raises."""

    @abstractmethod
    def interrupt(self) -> None:
        """Stop the statement that is running, if any. It may be lost if one is just starting."""

    def cut_off(self) -> None:  # noqa: B027 - a cursor has nothing to cut
        """End the connection of a session that ignores interrupts and whose client is gone, so that
        the server rolls back; called from another thread."""

    @abstractmethod
    def close(self) -> None:
        """Roll back and free the session; may be repeated."""

    @abstractmethod
    def build(self, task: BuildTask) -> Staged:
        """Build the task's relation where no reader sees it. No transaction may be open."""

    @abstractmethod
    def name_of(self, staged: Staged) -> str:
        """Return the staged relation's name as SQL of this session."""

    @abstractmethod
    def publish(self, staged: Staged, commit: Commit) -> None:
        """Make the relation and its proof visible in one atomic act.

        An error says nothing of whether it took place: ``discard``, and ask ``find_proof``.
        """

    @abstractmethod
    def discard(self) -> None:
        """Drop what was built and not published; harmless where that is nothing. Never raises."""

    @abstractmethod
    def find_proof(self, relation: Relation | None, attempt: AttemptId) -> Commit | None:
        """Return the proof that the attempt, which builds ``relation``, was published."""

    @abstractmethod
    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        """Return the last proof of each of these relations, or of all relations."""

    @abstractmethod
    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        """Return (name, type) of each column, in order."""

    def size(self, relation: Relation) -> int | None:
        """Return the bytes that it takes in storage; None if that is not known, or it is a view."""
        return None

    @abstractmethod
    def count(self, sql: str) -> int:
        """Return how many rows a query returns."""

    @abstractmethod
    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        """Write a query's rows to a new Arrow IPC file in the first of ``folders`` that has room;
        return its path and the number of rows."""

    @abstractmethod
    def load(self, path: str, relation: str, mode: str) -> int:
        """Write an Arrow IPC file to a table, mode "replace" or "append"; return the number of
        rows. ``relation`` is SQL: a name that is quoted where it must be.
        """

    @abstractmethod
    def prepare(self, schemas: Sequence[str]) -> None:
        """Create the schemas and what proofs need, where missing. Not for use by two sessions at
        once. Raises WarehouseError, of kind VERSION_MISMATCH where a newer version of this package
        keeps its proofs in a form that this one does not know."""


class OpenWarehouse(ABC):
    """One database, open in this process."""

    capabilities: Capabilities

    @abstractmethod
    def session(
        self,
        name: str = "",
        request: SessionRequest | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> WarehouseSession:
        """Open a session; ``name`` is how a server shows it, and how ``fence`` finds it.

        ``request``: what the session's client brings along, by default what this process has.
        ``given_up``: asked now and then while a server keeps us waiting; true: nobody wants the
        session any more, and the error's kind is ErrorKind.INTERRUPTED.
        """

    def is_replaced(self) -> bool:
        """Whether the settings name another database by now than the one that is open: what is
        written to that would silently be lost."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Close the database, after every session was closed."""


def quoted(relation: Relation) -> str:
    """Return the relation's full name, each part quoted as in standard SQL."""
    parts: Iterable[str | None] = (relation.catalog, relation.schema, relation.name)
    return ".".join(quote(part) for part in parts if part)


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string as a literal of standard SQL."""
    return "'" + text.replace("'", "''") + "'"
