"""The tree of errors: what happened, where (file:line:column), what to do next.

DagsterModelsError
├── ProjectError        the files of a project are wrong: one report of all problems
├── SqlSyntaxError      one text does not parse (core.parse raises it, the loader collects it)
│   └── UnreadableSql   it is beyond the parser's grammar, and may not be beyond the warehouse's
├── WarehouseError      the warehouse refused a statement
│   ├── WarehouseLost   the process or server that held the session is gone
│   └── Canceled        a statement was stopped because somebody asked for it
└── InvalidTransition   a bug of ours: the plan was told something impossible
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class DagsterModelsError(Exception):
    """Base of every error that this package raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a project's files.

    ``line`` and ``column`` count from 1; a problem of a whole file has line 1, column 1.
    """

    what: str
    path: str
    line: int = 1
    column: int = 1
    fix: str = ""
    severity: str = "error"  #: "error" stops the load, "warning" is only told

    def __str__(self) -> str:
        told = f"{self.path}:{self.line}:{self.column}: {self.severity}: {self.what}"
        return f"{told}\n    {self.fix}" if self.fix else told


class ProjectError(DagsterModelsError):
    """All problems of a project, in the order of their files and lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.path, p.line, p.column, p.what)))
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the project"
        super().__init__("\n".join([f"{head}:", *map(str, self.problems)]))


class SqlSyntaxError(DagsterModelsError):
    """A text is not the one query that a model must be. Line and column count from 1."""

    def __init__(self, what: str, line: int, column: int, fix: str = "") -> None:
        self.what, self.line, self.column, self.fix = what, line, column, fix
        super().__init__(f"{line}:{column}: {what}")


class UnreadableSql(SqlSyntaxError):
    """The parser does not know this SQL. The warehouse may, as no parser knows all of it."""


MOST_CHARACTERS = 64_000
"""Of a message or traceback, which travel in one frame and into logs: an error may quote a value
of any size."""


def shortened(text: str) -> str:
    """*text*, without its middle if it is longer than MOST_CHARACTERS."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters ...\n{text[-half:]}"


class WarehouseError(DagsterModelsError):
    """The warehouse refused a statement.

    ``kind`` is the driver's own class name (e.g. ``CatalogException``); ``line`` counts from 1 in
    the statement as sent, None when the warehouse names none. ``transient``: worth another try as
    it is (a write conflict, out of memory beside others).
    """

    def __init__(
        self, kind: str, message: str, *, line: int | None = None, transient: bool = False
    ) -> None:
        message = shortened(message)
        self.kind, self.message, self.line, self.transient = kind, message, line, transient
        super().__init__(f"{kind}: {message}")


#: Kind of a WarehouseError: the server takes no further session now; those that we have go on.
TOO_MANY_SESSIONS = "TooManySessions"


class WarehouseLost(WarehouseError):
    """The process or server that held the session is gone; what it did is in doubt."""


class Canceled(WarehouseError):
    """The statement was interrupted on request; its transaction is not committed."""


class InvalidTransition(DagsterModelsError):
    """The plan was told something that cannot happen to the step; carries the step's story."""
