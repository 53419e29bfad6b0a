"""What every warehouse offers: a small interface over its native driver.

    OpenWarehouse            one database, open in this process
      └── WarehouseSession     one connection or cursor of it; used by one thread at a time

The methods of a session take relations and the user's own SQL text. How a warehouse spells a table,
reads a CSV file or replaces a view by a table is left to the warehouse's own folder. Every method
that reaches the database may raise ``errors.WarehouseError``, whose ``line`` counts in the *user's*
text.

A relation is published in two steps, whatever a warehouse's transactions are like:

    staged = session.build(task)            readers do not see it; checks read name_of(staged)
    session.publish(staged, commits)        one atomic act, which also writes the commit records
    session.discard()                       instead of publish; harmless if nothing was built

The commit record is the *proof* that an attempt was published. ``Capabilities.publishing`` says
what makes the act atomic. If a session was lost before ``publish`` answered, ``fence`` waits until
that session can no longer publish anything, and then ``find_proofs`` decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from dagster_models.core.built import Built
from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import AddedTo, Custom, Reading
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId, BuildTask
from dagster_models.core.warehouse_address import SessionRequest
from dagster_models.core.windows import Window
from dagster_models.warehouses.rehearsing import Rehearsing

#: The features that a warehouse may have. Those that it lacks are in its ``Capabilities``.
FEATURES: Mapping[str, str] = {
    "publish": "table, view, seed, Python model: one atomic act with its commit record",
    "transactions": "several statements of the user's own can be one transaction",
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
    "time_type": "times of day are a type of their own",
    "interval_type": "lengths of time are a type of their own",
    "decimal_nan": "a decimal number may be NaN",
    "any_name": "names may have any length",
    "savepoints": "a check whose query fails costs no second build: the transaction goes on",
}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between warehouses, as data, so that no code asks which warehouse it is.

    ``publishing``: how data and proof become visible together. "transaction": both are written in
    one; "commit": the table's own history holds the proof; "swap": a staged table holds the proof,
    and one atomic rename puts the table in place. ``shared_fate``: sessions and this process end
    together (the database is open in this process); otherwise a single session can be lost, or can
    outlive this process.
    ``lacks``: feature -> the reason.
    """

    name: str
    shared_fate: bool
    publishing: Literal["transaction", "commit", "swap"] = "transaction"
    lacks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.lacks) - set(FEATURES)
        if unknown:
            raise ValueError(f"{self.name} lacks features that are unknown: {sorted(unknown)}")


@dataclass(frozen=True, slots=True)
class Replaced:
    """A window whose rows a build has replaced; how many there are now, and were before."""

    window: Window
    inserted: int
    deleted: int


@dataclass(frozen=True, slots=True)
class Staged:
    """A relation that is built, but not published yet.

    ``rows`` is None if nothing counted them, and ``changes`` for a relation that each build
    replaces. ``replaced``: the windows of a build of partitions, and ``partition_rows`` those of
    its partitions that share no window with another. ``is_function``: it is no
    relation, but a function. ``comment``: what is to be the relation's comment, "" if nothing is.
    ``notes`` are what the user should know. ``written``: a query of the rows that this transaction
    wrote, "" where they are all rows of the relation, or nobody can tell. ``written_by_now``: those
    of earlier transactions of the run along with them, "" where there are no such transactions.
    """

    relation: Relation
    rows: int | None
    changes: Changes | None = None
    replaced: tuple[Replaced, ...] = ()
    is_function: bool = False
    comment: str = ""
    notes: tuple[str, ...] = ()
    written: str = ""
    written_by_now: str = ""
    partition_rows: tuple[PartitionRows, ...] = ()


class RelationsThere(ABC):
    """What a session says of relations that are there, and of functions."""

    @abstractmethod
    def built_by(self, builder: str, names: Collection[str] | None = None) -> list[Built]:
        """Return the relations that are there and that this builder was the last to publish: all,
        or those with these names."""

    @abstractmethod
    def drop(self, relation: Relation, builder: str) -> None:
        """Drop a relation of ``built_by``.

        Raises WarehouseError, of kind NOT_KEPT if it must not be dropped, or if something else
        depends on it; nothing has changed then.
        """

    @abstractmethod
    def there(self, relations: Collection[Relation]) -> list[Relation]:
        """Return those of these relations that exist, whoever has made them."""

    @abstractmethod
    def fingerprint(self, relation: Relation) -> str:
        """Return a text that another content (columns, or rows in whatever order) would not have.
        All of the relation is read for it."""

    @abstractmethod
    def contents(self, relation: Relation) -> str:
        """Return the same, such that another version of the warehouse returns the same text."""

    @abstractmethod
    def unrepeatable(self, functions: Collection[str]) -> dict[str, str]:
        """Return the functions of these names (in lower case) that may return something else for
        the same arguments, each with the reason: all but those of which it is known that they do
        not. A name that no function has is left out."""


class CheckQueries(ABC):
    """What the checks of a relation ask of a session."""

    #: What a cast to a text of any length names.
    text_type: ClassVar[str] = "VARCHAR"

    def quote(self, name: str) -> str:
        """Return a name as SQL of this session."""
        return quote(name)

    def quoted(self, relation: Relation) -> str:
        """Return a relation's name as SQL of this session."""
        parts = (relation.catalog, relation.schema, relation.name)
        return ".".join(self.quote(part) for part in parts if part)

    @abstractmethod
    def window_of(self, staged: Staged) -> str:
        """Return the name, as SQL of this session, of what has the rows that this transaction
        wrote, and no others, where that is known; else the relation's own. It is there until
        ``publish``."""

    @abstractmethod
    def widen(self, staged: Staged) -> None:
        """Let what ``window_of`` has named have the rows ``written_by_now``."""

    @abstractmethod
    def read(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the column names and rows of one query of a check, which changes nothing."""

    @abstractmethod
    def subquery(self, sql: str) -> str | None:
        """Return a query as it may stand in parentheses, with its lines where they are; None for
        one that may not."""

    @abstractmethod
    def count(self, sql: str) -> int:
        """Return how many rows a query returns."""

    @abstractmethod
    def only_read(self, sql: str) -> None:
        """Refuse a statement of a check in Python that may write, in a transaction that may: by
        its text, or by what holds until ``back_to_savepoint``. Raises WarehouseError."""

    def savepoint(self) -> bool:
        """Remember this moment of the open transaction; False if the warehouse cannot."""
        return False

    def back_to_savepoint(self) -> None:
        """After an error, undo what was done since ``savepoint``, so that the transaction goes on.
        This may be done more than once. It is only asked of a session whose ``savepoint`` has
        returned True, so one that has none needs no method."""
        raise NotImplementedError


class WarehouseSession(RelationsThere, CheckQueries, Rehearsing):
    """One connection or cursor. Only ``interrupt`` may be called from another thread."""

    def fence(self, name: str, timeout_seconds: float, relation: Relation | None = None) -> bool:
        """Wait until the session *name*, which this process does not have (or no longer has),
        cannot publish anything, and at least not *relation*. Return False if it still could after
        ``timeout_seconds``.

        If sessions end with the process that holds them, there is nothing to wait for.
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
        """Return the column names and rows of one query of the user's."""

    @property
    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether an explicit transaction is open."""

    @abstractmethod
    def begin(self) -> None: ...

    @abstractmethod
    def begin_reading(self) -> None:
        """Begin a transaction in which the database itself refuses to write anything."""

    @abstractmethod
    def commit(self) -> None: ...

    @abstractmethod
    def rollback(self) -> None:
        """Undo everything since ``begin``; harmless if no transaction is open. Never raises."""

    @abstractmethod
    def interrupt(self) -> None:
        """Stop the statement that is running, if any. If one is just starting, the interrupt may be
        lost."""

    def cut_off(self) -> None:
        """End the connection of a session that ignores interrupts and whose client is gone, so that
        the database server rolls back. Called from another thread."""

    @abstractmethod
    def close(self) -> None:
        """Roll back and free the session; may be called more than once."""

    @abstractmethod
    def build(self, task: BuildTask, first: Callable[[], None] | None = None) -> Staged:
        """Build the task's relation where no reader sees it. No transaction may be open. *first* is
        called before the relation changes, when nobody else can write to it any more."""

    @abstractmethod
    def read_before(self, relation: Relation, how: AddedTo | Custom) -> Reading:
        """Return what a Python model must know to make the rows of its next build. It leaves a
        transaction open: ``discard``. In that of a Custom, its code builds the relation, which
        ``build`` then takes as it is."""

    @abstractmethod
    def rehearse(self, task: BuildTask) -> Staged:
        """Build the task's relation in the rehearsal, which a rollback is to end: no publication
        follows, and what a build does besides the rows is left out."""

    @abstractmethod
    def name_of(self, staged: Staged) -> str:
        """Return the staged relation's name as SQL of this session."""

    @abstractmethod
    def publish(self, staged: Staged, commits: Sequence[Commit]) -> None:
        """Make the relation and its proof, one or several records, visible in one atomic act.

        It may have taken place in spite of an error: call ``discard``, and then ``find_proofs``.
        """

    @abstractmethod
    def discard(self) -> None:
        """Drop what was built but not published, if there is anything. Never raises."""

    @abstractmethod
    def find_proofs(
        self, relation: Relation | None, attempt: AttemptId | None = None
    ) -> list[Commit]:
        """Return the proofs that the attempt, which builds ``relation``, was published, or parts of
        it, in the order of these.

        For None those of all attempts, the first one first, from the last one on that replaced the
        whole relation.
        """

    @abstractmethod
    def last_proofs(self, relations: Collection[Relation] | None = None) -> list[Commit]:
        """Return the last proof of each of these relations, or of all relations."""

    @abstractmethod
    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        """Return (name, type) of each column, in order."""

    def size(self, relation: Relation) -> int | None:
        """Return its size in storage, in bytes; None if that is unknown, or it is a view."""
        return None

    @abstractmethod
    def export(self, sql: str, folders: Sequence[str]) -> tuple[str, int]:
        """Write a query's rows to a new Arrow IPC file in the first of ``folders`` that has room;
        return its path and the number of rows."""

    @abstractmethod
    def query_columns(self, sql: str) -> list[tuple[str, str]]:
        """Return (name, type) of each column of a query, which is not run. The types are those that
        ``CopyForms.reads`` of the warehouse lists; others are named in any way."""

    @abstractmethod
    def load(self, path: str, relation: str, mode: str) -> int:
        """Write an Arrow IPC file to a table, mode "replace" or "append"; return the number of
        rows. ``relation`` is SQL, i.e. a name that is quoted where necessary.
        """

    @abstractmethod
    def prepare(self, schemas: Sequence[str]) -> None:
        """Create the schemas and the table of commit records if they are missing. Two sessions must
        not do this at once. Raises WarehouseError, of kind VERSION_MISMATCH if a newer version of
        this package has written the records in a format that this version does not know."""


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
        """Open a session; ``name`` is how a database server shows it, and how ``fence`` finds it.

        ``request``: the settings and environment of the session's client; default: this process's.
        ``given_up`` is called now and then while a database server keeps us waiting. If it returns
        true, nobody wants the session any more, and a WarehouseError of kind INTERRUPTED is raised.
        """

    def is_replaced(self) -> bool:
        """Whether the settings now lead to another database than the one that is open. Whatever is
        written to the open one would then silently be lost."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Close the database, after every session was closed."""


def find_proof(
    session: WarehouseSession, relation: Relation | None, attempt: AttemptId, part: int = 0
) -> Commit | None:
    """Return the proof of one part of an attempt, or None."""
    found = (it for it in session.find_proofs(relation, attempt) if it.part == part)
    return next(found, None)


def quoted(relation: Relation) -> str:
    """Return the relation's full name, each part quoted as in standard SQL."""
    return relation.quoted


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string as a literal of standard SQL."""
    return "'" + text.replace("'", "''") + "'"
