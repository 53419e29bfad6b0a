"""Task and Outcome: what crosses the process border, as plain JSON.

A *task* is one attempt of a step as sent to a worker; an *outcome* is what became of it. Both are
frozen values with ``to_json`` and ``from_json`` (plain dictionaries of JSON types); the frames that
carry them are wire.py's.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dagster_models.core.model import EMPTY, Relation
from dagster_models.errors import ErrorKind, WarehouseError


class Verdict(str, Enum):
    """What the warehouse (or, for a script, its process) answered. Never a guess."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class CheckTask:
    """One check to run inside the step's transaction, before the relation is published.

    ``sql`` is complete and selects the offending rows. A failing check of severity "error" rolls
    the transaction back; one of severity "warn" only reports.
    """

    name: str
    sql: str
    severity: str = "error"


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt of a step.

    ``kind``: "sql" (build ``relation`` from ``sql``), "seed" (from the CSV file ``path``),
    "arrow" (from the Arrow IPC file ``path``), "python" and "script" (run the file ``path``).
    ``digest``: of the file's bytes when the project was loaded, "" where it does not matter.
    ``sql`` is final: names replaced, variables filled in. ``queries`` maps the literal SQL of a
    Python file to the text to send; ``relations`` maps table names as written there to SQL.
    """

    run_id: str
    step: str
    attempt: int
    kind: str
    relation: Relation | None = None
    materialized: str = "table"
    sql: str = ""
    path: str = ""
    code_version: str = ""
    input_versions: Mapping[str, str] = EMPTY
    checks: tuple[CheckTask, ...] = ()
    column_types: Mapping[str, str] = EMPTY
    queries: Mapping[str, str] = EMPTY
    relations: Mapping[str, str] = EMPTY
    variables: Mapping[str, Any] = EMPTY
    project_root: str = ""
    digest: str = ""

    def to_json(self) -> dict[str, Any]:
        return _plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Task:
        relation = data.get("relation")
        return cls(
            **{
                **data,
                "relation": Relation(**relation) if relation else None,
                "checks": tuple(CheckTask(**check) for check in data.get("checks", ())),
            }
        )

    def is_of(self, data: bytes) -> bool:
        """Whether the file still is the one whose code version the task bears."""
        return not self.digest or self.digest == digest_of(data)

    @property
    def changed(self) -> str:
        """What to say if it is not."""
        name = os.path.relpath(self.path, self.project_root) if self.project_root else self.path
        return f"{name} was changed after the run had loaded the project: run it again"


def digest_of(data: bytes) -> str:
    """Of a file's bytes: part of its code version."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why an attempt did not commit: one value from where it arose to whoever writes it.

    ``name``: what a user reads before the message, e.g. the class of the exception; by default the
    kind's title. ``line`` counts from 1 in the user's file, if known. ``transient``: worth another
    try as it is. ``final``: another attempt would be in vain.
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
        """The value of a warehouse's error."""
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
        # In journals of 0.1.0 the kind is what is the name now.
        return cls(**{**known, "kind": ErrorKind.OTHER, "name": str(data["kind"])})

    @property
    def title(self) -> str:
        """The name, or the kind's title where the error has none of its own."""
        return self.name or self.kind.title


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What became of a check: the number of offending rows, or the error of its own query."""

    name: str
    severity: str
    failures: int = 0
    error: TaskError | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        return self.failures == 0 and self.error is None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckOutcome:
        error = data.get("error")
        if isinstance(error, str):  # in journals of 0.1.0
            error = {"kind": ErrorKind.OTHER.value, "message": error} if error else None
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**{**known, "error": TaskError.from_json(error) if error else None})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task. Times are epoch seconds (UTC) and seconds.

    ``bytes``: what the relation takes in the warehouse's storage. None, as of ``rows``: unknown.
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

    def to_json(self) -> dict[str, Any]:
        return _plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Outcome:
        error = data.get("error")
        return cls(
            **{
                **data,
                "verdict": Verdict(data["verdict"]),
                "columns": tuple((name, type_) for name, type_ in data.get("columns", ())),
                "checks": tuple(CheckOutcome.from_json(check) for check in data.get("checks", ())),
                "error": TaskError.from_json(error) if error else None,
            }
        )


def _plain(value: Any) -> dict[str, Any]:
    """Like dataclasses.asdict, but for mapping proxies and enums too, which it cannot copy."""

    def plain(item: Any) -> Any:
        if isinstance(item, Enum):
            return item.value
        if isinstance(item, Mapping):
            return {str(k): plain(v) for k, v in item.items()}
        if isinstance(item, (tuple, list)):
            return [plain(v) for v in item]
        if hasattr(item, "__dataclass_fields__"):
            return {name: plain(getattr(item, name)) for name in item.__dataclass_fields__}
        return item

    result: dict[str, Any] = plain(value)
    return result
