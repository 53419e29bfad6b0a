"""The tree of errors: what happened, where (file:line:column), what to do next.

DagsterModelsError
├── ProjectError        the files of a project are wrong: one report of all problems
├── BrokenFile          a step cannot be built, as its file is wrong and the project was loaded
├── SelectionError      a selection is not one, or matches nothing
├── SqlSyntaxError      one text does not parse (sql.parse raises it, the loader collects it)
│   └── UnreadableSql   the parser does not know this SQL, though the warehouse may
├── WarehouseError      the warehouse refused a statement
│   ├── WarehouseLost   the process or server that held the session is gone
│   └── Canceled        a statement was stopped on request
└── InvalidTransition   a bug of ours: the plan was given an event that cannot happen
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class ErrorKind(str, Enum):
    """What went wrong, in terms of our own: code decides by these, never by a driver's names.

    Each warehouse maps its driver's errors to them. The driver's own name of an error is the
    ``name`` that users read.
    """

    # The user's SQL or data.
    SYNTAX = "syntax"
    MISSING_RELATION = "missing_relation"
    BAD_COLUMN = "bad_column"  #: the query cannot be bound because of a name or a type
    BAD_VALUE = "bad_value"  #: a type cannot hold a value, or an operation on a value fails
    CONSTRAINT = "constraint"
    PERMISSION = "permission"
    READ_ONLY = "read_only"
    UNSUPPORTED = "unsupported"
    INVALID_NAME = "invalid_name"
    INVALID_INPUT = "invalid_input"
    CHECK_FAILED = "check_failed"
    NOT_RUN = "not_run"  #: a check that nobody could ask any more, as another one had failed
    USER_CODE = "user_code"  #: an exception of the user's Python
    BROKEN_FILE = "file_broken"  #: the load has reported what is wrong in it
    CHANGED_FILE = "file_changed"  #: the file is not the one that was loaded
    OPEN_TRANSACTION = "open_transaction"
    NOT_KEPT = "not_kept"  #: an object that depends on the relation would not survive its rebuild
    # The circumstances: often worth another try.
    CONFLICT = "conflict"  #: two writers met, and the loser lost only time
    TRANSACTION_FAILED = "transaction_failed"  #: an earlier statement failed; all is rolled back
    LOCK_TIMEOUT = "lock_timeout"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    IO = "io"
    TOO_MANY_SESSIONS = "too_many_sessions"  #: the open ones go on
    UNREACHABLE = "connection_failed"
    IN_USE = "database_in_use"
    HELD = "relation_held"
    START_FAILED = "start_failed"
    # The statement was stopped, or whatever ran it ended.
    INTERRUPTED = "interrupted"  #: the statement was stopped, by whoever it was
    CANCELED = "canceled"  #: the statement was stopped at our request
    LOST = "warehouse_lost"
    WORKER_LOST = "worker_lost"
    IN_DOUBT = "in_doubt"
    BROKEN = "database_broken"  #: only a new process knows what the database holds
    REPLACED = "database_replaced"
    SESSION_CLOSED = "session_closed"
    # Ours.
    VERSION_MISMATCH = "version_mismatch"
    INVALID_SETTINGS = "invalid_settings"
    INVALID_REQUEST = "invalid_request"
    RESULT_TOO_LARGE = "result_too_large"
    NOT_PRIVATE = "not_private"
    STEP_FAILURE = "step_failure"  #: the failure of a Dagster step that is not ours
    INTERNAL = "internal_error"
    OTHER = "other"

    @property
    def title(self) -> str:  # type: ignore[override]  # nobody needs str.title here
        """The kind as a user reads it if there is no driver's name, e.g. ``DatabaseInUse``."""
        return "".join(word.capitalize() for word in self.value.split("_"))


class DagsterModelsError(Exception):
    """Base of every error that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a project's files.

    ``line`` and ``column`` count from 1; a problem of a whole file has line 1, column 1. ``others``
    are the paths of other files that are wrong for the same reason: each member of a cycle, the
    first of two that define one thing. ``missing``: the column that the file names and that does
    not exist, if that is what is wrong; code decides by it, and never by the texts.
    """

    what: str
    path: str
    line: int = 1
    column: int = 1
    fix: str = ""
    severity: str = "error"  #: of an "error" nothing can be built, a "warning" is only reported
    others: tuple[str, ...] = ()
    missing: str = ""

    def __str__(self) -> str:
        text = f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.what}"
        return f"{text}\n    {self.fix}" if self.fix else text


class ProjectError(DagsterModelsError):
    """All problems of a project, in the order of their files and lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted({*problems}, key=lambda p: (p.path, p.line, p.column, p.what)))
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the project"
        super().__init__("\n".join([f"{head}:", *map(str, self.problems)]))


class BrokenFile(DagsterModelsError):
    """A step cannot be built, as a file is wrong: the errors, with their places. *head* says
    whose file it is, if not that of the step itself."""

    def __init__(self, problems: Sequence[Problem], head: str = "") -> None:
        super().__init__("\n".join([*([f"{head}:"] if head else ()), *map(str, problems)]))


class SelectionError(DagsterModelsError):
    """A selection is not one, or matches nothing. *suggested*: the text names what may be meant."""

    def __init__(self, what: str, suggested: bool = False) -> None:
        self.suggested = suggested
        super().__init__(what)


class SqlSyntaxError(DagsterModelsError):
    """A text is not the one query that a model must be. Line and column count from 1."""

    def __init__(self, what: str, line: int, column: int, fix: str = "") -> None:
        self.what, self.line, self.column, self.fix = what, line, column, fix
        super().__init__(f"{line}:{column}: {what}")


class UnreadableSql(SqlSyntaxError):
    """The parser does not know this SQL. The warehouse may: no parser knows all of its SQL."""


MOST_CHARACTERS = 64_000
"""The longest message or traceback. Both travel in one frame and into logs, and an error may quote
a value of any size."""


def shortened(text: str) -> str:
    """*text*, without its middle if it is longer than MOST_CHARACTERS."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"


class WarehouseError(DagsterModelsError):
    """The warehouse refused a statement.

    Code decides by ``kind``. Users read ``name`` before the message: it is the driver's own class
    (e.g. ``CatalogException``), by default the kind's title. ``line`` counts from 1 in the
    statement as sent and is None when the warehouse names none. ``transient`` means that another
    try may succeed as it is (after a write conflict, or out of memory beside others).
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        name: str = "",
        line: int | None = None,
        transient: bool = False,
    ) -> None:
        message = shortened(message)
        self.kind, self.name, self.message = kind, name or kind.title, message
        self.line, self.transient = line, transient
        super().__init__(f"{self.name}: {message}")


class WarehouseLost(WarehouseError):
    """The process or server that held the session is gone; what it did is in doubt."""


class Canceled(WarehouseError):
    """The statement was interrupted on request; its transaction is not committed."""


class InvalidTransition(DagsterModelsError):
    """The plan was given an event that cannot happen to the step; carries the step's story."""
