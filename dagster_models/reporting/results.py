"""What became of a run: one value per step, and the totals of a run.

    StepResult   one finished step, with a CheckResult for each of its checks
    RunHeader    what is known before the first step
    totals       PASS, WARN, ERROR, SKIP, CANCEL, TOTAL

The terminal's lines (terminal.py), the journal (journal.py) and run_results.json (run_results.py)
are written from the same ``StepResult``, so that they cannot disagree about a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from dagster_models.core.changes import Changes
from dagster_models.core.checks import ANY_ROW
from dagster_models.core.messages import CheckOutcome, TaskError, sample_of
from dagster_models.core.model import EMPTY
from dagster_models.errors import ErrorKind

ResultKind = Literal["sql", "python", "seed", "script", "asset", "checks"]
ResultState = Literal["succeeded", "failed", "canceled", "skipped", "unchanged"]
#: What became of a check, in dbt's words.
CheckStatus = Literal["pass", "warn", "fail", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class CheckResult(CheckOutcome):
    """What became of a check, with what the project knows of it.

    ``file``, relative to the project's folder, and ``line``: where the check is declared, or the
    line of its query that failed. ``threshold`` is the one that was exceeded, "" if none was.
    """

    file: str = ""
    line: int | None = None
    threshold: str = ""

    @property
    def status(self) -> CheckStatus:
        """What all writers say of it. A check that only warns does so too if its query fails."""
        if not self.has_run:
            return "skipped"
        if self.passed:
            return "pass"
        if self.severity == "warn":
            return "warn"
        return "error" if self.error is not None else "fail"

    @property
    def limit(self) -> str:
        """The threshold that was exceeded, "" also where a single row is too many."""
        return "" if self.threshold == str(ANY_ROW) else self.threshold

    @property
    def percent(self) -> float | None:
        """Of the rows in scope, where their number is known. A row of none has no percentage."""
        if self.rows is None or self.error is not None or (self.failures and not self.rows):
            return None
        return 100 * self.failures / self.rows if self.rows else 0.0

    @property
    def where(self) -> str:
        return _place(self.file, self.line)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> CheckResult:
        """A check of a journal; in journals of 0.1.0 its error is a text."""
        error = data.get("error")
        if isinstance(error, str):
            error = {"kind": ErrorKind.OTHER.value, "message": error} if error else None
        error = TaskError.from_json(error) if error else None
        return known_fields(cls, {**data, **sample_of(data), "error": error})


@dataclass(frozen=True, slots=True)
class StepResult:
    """One finished step. All moments are epoch seconds (UTC).

    ``step`` is "schema.name"; ``file`` is relative to the project's folder; ``materialized`` is
    "view", "table" or "" where nothing is built. ``kind`` is "checks" if the run had only checks of
    the step to do.

    ``started_at`` is None for a step that never started. ``seconds`` is the execution, and
    ``compile_seconds`` the time before it. ``ready_at`` is when the step could have started and
    ``ended_at`` when it was reported; in between it waited for the reasons in ``waited`` (reason ->
    seconds, see ``ReportWait``), and for the rest it was in flight, all attempts together.

    ``error`` is why the step failed, as the warehouse or its process reported it; each writer
    composes its text from it. ``timed_out``: the step was stopped by its own timeout.

    ``cause`` is the root step that failed, ``cause_state`` what became of that. ``path`` leads from
    it to this step, both included; it is empty if the failure stopped this step although it does
    not read from the cause. A long path has only its first and last steps, and ``path_left_out`` is
    how many are missing between these.
    ``no_previous``: skipped, as the cause has ``on_error: continue`` but no previous version.
    ``deliberate``: skipped, as the cause succeeded and chose not to produce what the step reads.
    ``built_on_previous``: the upstreams that failed in this run with ``on_error: continue``.
    ``changes``: what was inserted, updated and deleted, for an incremental model or a snapshot.
    ``partitions``: those that are committed, by key, also of a step that failed after that.
    ``committed_in``: the earlier run that committed this step, if this run went on from there, or
    left the step alone (unchanged). ``because``: why a run with ``only_changed`` has built it.
    ``undeclared``: the warnings of names that it reads and that the project does not declare.
    """

    step: str
    kind: ResultKind
    materialized: str
    state: ResultState
    attempt: int = 1
    started_at: float | None = None
    seconds: float = 0.0
    compile_seconds: float = 0.0
    rows: int | None = None
    relation: str = ""
    cause: str | None = None
    cause_state: ResultState | None = None
    path: tuple[str, ...] = ()
    error: TaskError | None = None
    timed_out: bool = False
    file: str = ""
    checks: tuple[CheckResult, ...] = ()
    code_version: str = ""
    worker: str = ""
    ready_at: float | None = None
    ended_at: float | None = None
    waited: Mapping[str, float] = EMPTY
    built_on_previous: tuple[str, ...] = ()
    no_previous: bool = False
    deliberate: bool = False
    committed_in: str = ""
    changes: Changes | None = None
    path_left_out: int = 0
    because: str = ""
    partitions: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """The step did what it was to do, even if that was nothing."""
        return (self.stands and not self.failed_later) or self.deliberate

    @property
    def stands(self) -> bool:
        """The relation is as it should be: this run has built it, or need not build it."""
        return self.state in ("succeeded", "unchanged")

    @property
    def warned(self) -> bool:
        """The relation is as it should be, and at least one of its checks did not pass, which only
        warns."""
        passed = all(check.passed for check in self.checks)
        return self.stands and not passed and not self.failed_later

    @property
    def failed_later(self) -> bool:
        """The relation stands, and a check of it failed after all models (``checks: after``)."""
        missed = (not check.passed and check.severity == "error" for check in self.checks)
        return self.stands and any(missed)

    @property
    def failed_checks(self) -> list[CheckResult]:
        """The checks that failed, and do not only warn: the cause of what became of the step."""
        return [it for it in self.checks if it.status in ("fail", "error")]

    @property
    def where(self) -> str:
        """The user's file and line as "path:line", or the part of it that is known."""
        return _place(self.file, self.error.line if self.error else None)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "waited": dict(self.waited)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepResult:
        """The inverse of to_json; it ignores fields that only a newer version knows."""
        error, changes = data.get("error"), data.get("changes")
        # Journals of 0.1.0 have a text for it.
        timed_out = data.get("message", "").startswith("its timeout passed")
        return known_fields(
            cls,
            {
                "timed_out": timed_out,
                **data,
                "path": tuple(data.get("path", ())),
                "built_on_previous": tuple(data.get("built_on_previous", ())),
                "checks": tuple(map(CheckResult.from_json, data.get("checks", ()))),
                "error": TaskError.from_json(error) if error else None,
                "partitions": tuple(data.get("partitions", ())),
                "undeclared": tuple(data.get("undeclared", ())),
                "changes": known_fields(Changes, changes) if changes else None,
            },
        )


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What is known before a run's first step.

    ``steps`` are the planned ones; ``started_at`` is in epoch seconds (UTC); ``version`` is that of
    this package. ``slots``: how many steps may be in flight at once. ``limits``: how many of the
    steps that share a reason to wait. ``upstream``: which steps of this run each step reads.
    ``deferred``: the models that it reads from another target -> their relations. ``variables``:
    the values that it was given, as text. ``host``: the machine that executes it, "" if unknown.
    """

    run_id: str
    project: str
    target: str
    started_at: float
    steps: tuple[str, ...]
    version: str
    slots: int = 0
    limits: Mapping[str, int] = EMPTY
    upstream: Mapping[str, tuple[str, ...]] = EMPTY
    deferred: Mapping[str, str] = EMPTY
    variables: str = ""
    host: str = ""

    def to_json(self) -> dict[str, Any]:
        mappings = ("limits", "upstream", "deferred")
        return {**asdict(self), **{name: dict(getattr(self, name)) for name in mappings}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunHeader:
        """The inverse of to_json; it ignores fields that only a newer version knows."""
        upstream = {step: tuple(read) for step, read in data.get("upstream", {}).items()}
        return known_fields(cls, {**data, "steps": tuple(data["steps"]), "upstream": upstream})


def _place(file: str, line: int | None) -> str:
    return f"{file}:{line}" if file and line else file


T = TypeVar("T")


def known_fields(cls: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass from those keys of ``data`` that it knows: a newer version may write more."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in data.items() if name in names})


def totals(results: Iterable[StepResult]) -> dict[str, int]:
    """How many steps passed, warned, failed, were skipped and canceled, and their sum; and how many
    were left alone, if any were.

    A step that succeeded or was left alone counts as WARN if one of its checks did not pass, and as
    ERROR if one failed after all models.
    """
    count = Counter(
        "WARN" if it.warned else "ERROR" if it.failed_later else _WORDS[it.state] for it in results
    )
    words = ("PASS", "WARN", "ERROR", "SKIP", "CANCEL")
    found = {word: count[word] for word in words}
    if count["UNCHANGED"]:
        found["UNCHANGED"] = count["UNCHANGED"]
    return {**found, "TOTAL": sum(found.values())}


_WORDS: Mapping[ResultState, str] = {
    "succeeded": "PASS",
    "failed": "ERROR",
    "canceled": "CANCEL",
    "skipped": "SKIP",
    "unchanged": "UNCHANGED",
}
