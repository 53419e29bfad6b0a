"""What became of a task, as values that travel from where it ran to whoever reports it.

``to_json`` and ``from_json`` turn them into plain dictionaries of JSON types and back; the frames
of processes/wire.py carry these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dagster_models.core.changes import Changes, PartitionRows
from dagster_models.core.checks import Severity
from dagster_models.core.plain import plain
from dagster_models.errors import ErrorKind, WarehouseError


class Verdict(str, Enum):
    """The answer of the warehouse, or of a script's process. Never a guess."""

    # For a task that publishes.
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    UNKNOWN = "unknown"  #: nothing is proved yet: only the commit record can settle it
    # For a task that publishes nothing (a script, checks alone).
    DONE = "done"  #: it ran to its end
    FAILED = "failed"  #: it ended with an error; what it had done by then stays
    # For any task.
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why an attempt did not commit: the same value from its origin to whoever writes it.

    Users read ``name`` before the message, e.g. the class of the exception; by default it is the
    kind's title. ``line`` counts from 1 in the user's file and is None if it is not known.
    ``transient``: another try may succeed as it is. ``final``: another attempt is pointless.
    """

    kind: ErrorKind
    message: str
    name: str = ""
    line: int | None = None
    traceback: str = ""
    transient: bool = False
    final: bool = False

    @classmethod
    def of(cls, error: WarehouseError) -> TaskError:
        """The error of a warehouse as such a value."""
        return cls(
            error.kind,
            error.message,
            error.name,
            error.line,
            transient=error.transient,
            final=error.kind is ErrorKind.CHANGED_FILE,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskError:
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        if data["kind"] in [kind.value for kind in ErrorKind]:
            return cls(**{**known, "kind": ErrorKind(data["kind"])})
        # Journals of 0.1.0 have in `kind` what is now in `name`.
        return cls(**{**known, "kind": ErrorKind.OTHER, "name": str(data["kind"])})

    @property
    def title(self) -> str:
        """The error's name, or the kind's title if it has none."""
        return self.name or self.kind.title


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The result of a check: the number of offending rows, or why it has none: the error of its own
    query, or one of kind NOT_RUN.

    ``severity`` is that of the threshold which was exceeded, and else the declared one.
    ``accepted`` says that offending rows were found, but not too many. ``rows`` is the number of
    rows in scope, None where it is not known. ``sample`` are some of the offending rows, their
    values as texts, None for NULL, under the names ``sample_columns``; ``query`` selects all of
    them, ``stored`` is the relation that keeps them, and ``found`` says what a check of the whole
    table has found. ``value`` is the number with which later runs compare theirs, None for none.
    ``stored_rows`` is how many of them are stored, None if that is not known.
    """

    name: str
    severity: Severity
    failures: int = 0
    error: TaskError | None = None
    seconds: float = 0.0
    rows: int | None = None
    accepted: bool = False
    sample: tuple[tuple[str | None, ...], ...] = ()
    sample_columns: tuple[str, ...] = ()
    query: str = ""
    stored: str = ""
    found: str = ""
    value: float | None = None
    stored_rows: int | None = None

    @property
    def passed(self) -> bool:
        return (self.accepted or self.failures == 0) and self.error is None

    @property
    def has_run(self) -> bool:
        """Whether its query was sent, also if that failed."""
        return self.error is None or self.error.kind is not ErrorKind.NOT_RUN

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckOutcome:
        error = data.get("error")
        error = TaskError.from_json(error) if error else None
        return cls(**{**data, **sample_of(data), "error": error})


def sample_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The sample of a check's JSON, whose lists are tuples again."""
    return {
        "sample": tuple(map(tuple, data.get("sample", ()))),
        "sample_columns": tuple(data.get("sample_columns", ())),
    }


@dataclass(frozen=True, slots=True)
class Exported:
    """The files that a build has written for its export."""

    path: str
    rows: int
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task. ``started_at`` is in epoch seconds (UTC).

    ``bytes`` is the size of the relation in the warehouse's storage. ``rows`` and ``bytes`` are
    None where they are unknown. ``partitions`` are the keys of those that are committed: of a task
    that builds them in several transactions, some may be although it failed. ``notes`` are what
    the user should know of a build that succeeded.
    """

    step: str
    attempt: int
    verdict: Verdict
    started_at: float = 0.0
    seconds: float = 0.0
    rows: int | None = None
    bytes: int | None = None
    columns: tuple[tuple[str, str], ...] = ()  #: (name, the warehouse's type)
    checks: tuple[CheckOutcome, ...] = ()
    error: TaskError | None = None
    changes: Changes | None = None  #: of a relation that a build does not replace
    partitions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exported: Exported | None = None
    partition_rows: tuple[PartitionRows, ...] = ()  #: of those whose rows were counted apart

    @property
    def succeeded(self) -> bool:
        return self.verdict in (Verdict.COMMITTED, Verdict.DONE)

    def to_json(self) -> dict[str, Any]:
        return plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        error, changes = data.get("error"), data.get("changes")
        return cls(
            **{
                **data,
                "changes": Changes(**changes) if changes else None,
                "verdict": Verdict(data["verdict"]),
                "columns": tuple((name, type_) for name, type_ in data.get("columns", ())),
                "checks": tuple(CheckOutcome.from_json(check) for check in data.get("checks", ())),
                "error": TaskError.from_json(error) if error else None,
                "partitions": tuple(data.get("partitions", ())),
                "partition_rows": tuple(
                    PartitionRows(**rows) for rows in data.get("partition_rows", ())
                ),
                "notes": tuple(data.get("notes", ())),
                "exported": Exported(**data["exported"]) if data.get("exported") else None,
            }
        )
