"""What became of a run: one value per step, its totals, dbt's run_results.json.

    StepResult         one finished step, as every reader sees it
    totals             PASS, WARN, ERROR, SKIP, CANCEL, TOTAL
    write_run_results  target/run_results.json: the whole run in dbt's schema, once at the end

The terminal's lines (terminal.py), the journal (journal.py) and run_results.json are written from
the same ``StepResult``, so that they cannot disagree about a step.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, TypeVar

from dagster_models.core.messages import CheckOutcome, TaskError
from dagster_models.core.model import EMPTY

ResultKind = Literal["sql", "python", "seed", "script", "asset"]
ResultState = Literal["succeeded", "failed", "canceled", "skipped"]


@dataclass(frozen=True, slots=True)
class StepResult:
    """One finished step.

    ``step`` is "schema.name"; ``materialized`` is "view", "table" or "" where nothing is built.
    ``started_at`` is in epoch seconds (UTC), None for a step that never started; ``seconds`` is
    the execution, ``compile_seconds`` what went before it. ``cause`` is the root step that failed;
    ``path`` leads from it to this step, both included, and is empty when this step was stopped
    because of the failure without reading from it. ``file`` is relative to the project's folder.
    ``ready_at`` and ``ended_at``, in epoch seconds (UTC), are when it might have started and when
    it was reported; ``waited`` is what it waited for in between: reason -> seconds (see
    ``core.states.Wait``). What is left of that span it was in flight, all attempts together.
    ``built_on_previous`` are the upstreams that failed in this run with ``on_error: continue``;
    ``committed_in``: the earlier run that committed it, where this one went on from there.
    ``no_previous``: skipped, as the one that failed so has no previous version.
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
    message: str = ""
    cause: str | None = None
    path: tuple[str, ...] = ()
    error: TaskError | None = None
    file: str = ""
    checks: tuple[CheckOutcome, ...] = ()
    code_version: str = ""
    worker: str = ""
    ready_at: float | None = None
    ended_at: float | None = None
    waited: Mapping[str, float] = EMPTY
    built_on_previous: tuple[str, ...] = ()
    no_previous: bool = False
    committed_in: str = ""

    @property
    def warned(self) -> bool:
        """It is committed, and at least one of its checks did not pass."""
        return self.state == "succeeded" and not all(check.passed for check in self.checks)

    @property
    def where(self) -> str:
        """The user's file and line as "path:line"; less where less is known."""
        line = self.error.line if self.error else None
        return f"{self.file}:{line}" if self.file and line else self.file

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "waited": dict(self.waited)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepResult:
        """The inverse of to_json; fields that a newer version wrote are ignored."""
        error = data.get("error")
        return known_fields(
            cls,
            {
                **data,
                "path": tuple(data.get("path", ())),
                "built_on_previous": tuple(data.get("built_on_previous", ())),
                "checks": tuple(
                    known_fields(CheckOutcome, check) for check in data.get("checks", ())
                ),
                "error": known_fields(TaskError, error) if error else None,
            },
        )


@dataclass(frozen=True, slots=True)
class RunHeader:
    """What is known before a run's first step.

    ``steps`` are the planned ones, ``started_at`` is in epoch seconds (UTC), ``version`` is this
    package's. ``slots``: how many steps may be in flight at once; ``limits``: how many of those
    that wait for the same reason; ``upstream``: what each step reads of this run's steps.
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

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "limits": dict(self.limits), "upstream": dict(self.upstream)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunHeader:
        """The inverse of to_json; fields that a newer version wrote are ignored."""
        upstream = {step: tuple(read) for step, read in data.get("upstream", {}).items()}
        return known_fields(cls, {**data, "steps": tuple(data["steps"]), "upstream": upstream})


T = TypeVar("T")


def known_fields(cls: type[T], data: Mapping[str, Any]) -> T:
    """A dataclass from what it knows of ``data``: a newer version may have written more."""
    names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
    return cls(**{name: value for name, value in data.items() if name in names})


def totals(results: Iterable[StepResult]) -> dict[str, int]:
    """How many steps passed, warned, failed, were skipped and canceled, and their sum.

    A step that succeeded counts as PASS when all its checks passed, else as WARN.
    """
    words = {"failed": "ERROR", "skipped": "SKIP", "canceled": "CANCEL"}
    count = Counter(
        ("WARN" if result.warned else "PASS")
        if result.state == "succeeded"
        else words[result.state]
        for result in results
    )
    told = {word: count[word] for word in ("PASS", "WARN", "ERROR", "SKIP", "CANCEL")}
    return {**told, "TOTAL": sum(told.values())}


def skip_reason(result: StepResult, cause_state: ResultState | None = None) -> str:
    """Why a step never started, in a few words; the path is told apart (``skip_path``).

    ``cause_state`` is the state of ``result.cause``, if that is known.
    """
    if result.cause is None:
        return result.message or "the run was stopped"
    became = "was canceled" if cause_state == "canceled" else "failed"
    if result.no_previous:
        became += " and has no previous version"
    if len(result.path) < 2:
        return f"stopped after {result.cause} {became}"
    return f"upstream {result.cause} {became}"


def skip_path(result: StepResult) -> str:
    """The path from the root cause to the step, "" when it is a single hop."""
    return " -> ".join(result.path) if len(result.path) > 2 else ""


def explanation(result: StepResult) -> str:
    """Why a step failed, in full: what the run says of it, and the error if that says more."""
    error = result.error
    if error is None or not error.message:
        return result.message
    # A driver's message names its kind; that of a Python exception does not.
    named = error.kind and result.kind not in ("sql", "seed")
    text = f"{error.kind}: {error.message}" if named else error.message
    said, known = " ".join(result.message.split()), " ".join(error.message.split())
    # A timeout's error is the driver's "interrupted": then both are needed.
    return text if said in known or known in said else f"{result.message}\n{text}"


def cancel_story(result: StepResult) -> str:
    """What became of a step that was stopped, and why it was."""
    # A script has no transaction of ours around it: to say "rolled back" would be a guess.
    undone = result.kind not in ("script", "asset")
    story = result.message or (
        "rolled back; the relation is as before the run"
        if undone
        else "stopped; what it had already done stays"
    )
    if result.cause and result.cause not in story:
        story += f" (stopped after {result.cause} failed)"
    return story


# ---- dbt's run_results.json ----------------------------------------------------------------------

RUN_RESULTS_SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"
_STATUS = {"succeeded": "success", "failed": "error", "canceled": "skipped", "skipped": "skipped"}
_RESOURCE = {"sql": "model", "python": "model", "seed": "seed"}


def write_run_results(
    path: str | Path,
    results: Sequence[StepResult],
    *,
    header: RunHeader,
    seconds: float,
    generated_at: float,
    compiled: Mapping[str, str] = EMPTY,
    args: Mapping[str, Any] = EMPTY,
    names: Iterable[str] = (),
) -> None:
    """Write ``run_results.json`` in dbt's schema v6, whole or not at all.

    Args:
        path: the file; its folder is created.
        header: the run's header; its run id is dbt's invocation id.
        seconds: the run's duration; generated_at: epoch seconds.
        compiled: step -> the SQL that was sent.
        args: added to ``args``, which dbt's readers show.
        names: "schema.name" of every step of the project. With them an id does not depend on
            which steps a run happens to hold.

    Raises:
        OSError: the file cannot be written; an older one is untouched.
    """
    ids = unique_ids(results, header.project, names)
    states = {result.step: result.state for result in results}
    document = {
        "metadata": {
            "dbt_schema_version": RUN_RESULTS_SCHEMA,
            "dbt_version": header.version,
            "generated_at": _utc(generated_at),
            "invocation_id": header.run_id,
            "env": {"generator": f"dagster-models {header.version}"},
        },
        "results": [
            entry
            for result in results
            for entry in (
                _entry(result, ids[result.step], compiled.get(result.step), states),
                *(_check_entry(result, check, ids[result.step]) for check in result.checks),
            )
        ],
        "elapsed_time": seconds,
        "args": {"which": "build", "target": header.target, **args},
    }
    _write_atomically(Path(path), json.dumps(document, indent=1, default=str) + "\n")


def unique_ids(
    results: Iterable[StepResult], project: str, names: Iterable[str] = ()
) -> dict[str, str]:
    """Step -> dbt's unique id: ``model.<project>.<name>``, ``seed...`` or ``operation...``.

    Where two steps bear one name in different schemas, both get ``<schema>.<name>``.
    """
    results = list(results)
    every = {result.step for result in results} | set(names)
    bearers = Counter(_name(step) for step in every)
    return {
        result.step: ".".join(
            (
                _RESOURCE.get(result.kind, "operation"),
                project,
                result.step if bearers[_name(result.step)] > 1 else _name(result.step),
            )
        )
        for result in results
    }


def _name(step: str) -> str:
    return step.partition(".")[2] or step


def _entry(
    result: StepResult, unique_id: str, compiled: str | None, states: Mapping[str, ResultState]
) -> dict[str, Any]:
    response: dict[str, Any] = {"state": result.state, "attempt": result.attempt}
    if result.rows is not None:
        response["rows_affected"] = result.rows
    if result.cause:
        response |= {"cause": result.cause, "path": list(result.path)}
    if result.committed_in:
        response["committed_in"] = result.committed_in
    if result.built_on_previous:
        response["built_on_previous"] = list(result.built_on_previous)
    if result.code_version:
        response["code_version"] = result.code_version
    return _result(
        unique_id,
        _STATUS[result.state],
        result.seconds,
        _message(result, states.get(result.cause or "")),
        timing=_timing(result),
        thread_id=result.worker,
        adapter_response=response,
        compiled=compiled is not None,
        compiled_code=compiled,
        relation_name=result.relation or None,
    )


def _message(result: StepResult, cause_state: ResultState | None) -> str | None:
    if result.state == "skipped":
        reason, path = skip_reason(result, cause_state), skip_path(result)
        return f"{reason}: {path}" if path else reason
    if result.state == "canceled":
        return cancel_story(result)
    if result.state == "failed":
        return ": ".join(part for part in (result.where, explanation(result)) if part) or None
    return result.message or "OK"


def _check_entry(result: StepResult, check: CheckOutcome, step_id: str) -> dict[str, Any]:
    status, message = "pass", None
    if check.error:
        status, message = "error", check.error
    elif check.failures:
        status = "warn" if check.severity == "warn" else "fail"
        plural = "s" if check.failures != 1 else ""
        message = f"Got {check.failures} result{plural}, configured to {status} if != 0"
    return _result(
        f"test.{step_id.partition('.')[2]}.{check.name}",
        status,
        check.seconds,
        message,
        thread_id=result.worker,
        adapter_response={"severity": check.severity},
        failures=None if check.error else check.failures,
    )


def _result(
    unique_id: str, status: str, seconds: float, message: str | None, **more: Any
) -> dict[str, Any]:
    """A result with every key that schema v6 demands, in dbt's order."""
    return {
        "status": status,
        "timing": [],
        "thread_id": "",
        "execution_time": seconds,
        "adapter_response": {},
        "message": message,
        "failures": None,
        "unique_id": unique_id,
        "compiled": False,
        "compiled_code": None,
        "relation_name": None,
        **more,
    }


def _timing(result: StepResult) -> list[dict[str, Any]]:
    if result.started_at is None:
        return []
    begin = result.started_at
    spans = {
        "compile": (begin - result.compile_seconds, begin),
        "execute": (begin, begin + result.seconds),
    }
    return [
        {"name": name, "started_at": _utc(start), "completed_at": _utc(finish)}
        for name, (start, finish) in spans.items()
    ]


def _utc(epoch: float) -> str:
    when = datetime.fromtimestamp(epoch, timezone.utc)
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _write_atomically(path: Path, text: str) -> None:
    """Readers see the old file or the new one, also when the machine dies in between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not tempfile: its files are for the owner only, and a dashboard of another user reads this.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
