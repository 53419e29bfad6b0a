"""What a run tells: terminal, journal and results file, all from one StepResult."""

from __future__ import annotations

import io
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TextIO, cast

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome, TaskError, Verdict
from dagster_models.core.model import Project
from dagster_models.errors import Canceled, DagsterModelsError, ErrorKind, WarehouseError
from dagster_models.project.built_schemas import BuiltSchema, remember
from dagster_models.reporting.explain import Explanation, explain
from dagster_models.reporting.journal import Journal, JournalContents, RunEnd
from dagster_models.reporting.results import RunHeader, StepResult, totals
from dagster_models.reporting.run_results import write_run_results
from dagster_models.reporting.terminal import Terminal
from dagster_models.reporting.waits import LONG_SECONDS, StepWaits
from dagster_models.reporting.wording import cancel_story
from dagster_models.scheduling.states import Report, State


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a run's journal says of how much may be in flight: see ``RunHeader``. By step key."""

    slots: int
    limits: Mapping[str, int]
    upstream: Mapping[str, tuple[str, ...]]


class Reporter:
    """Tells one run. ``bindings`` are our steps; ``names`` are all steps of the run, by step key.

    The files of a run go to the first project among its steps; a run of foreign steps has none.
    """

    def __init__(
        self,
        run_id: str,
        names: Mapping[str, str],
        bindings: Mapping[str, TargetStep],
        room: RunLimits,
    ) -> None:
        self.results: list[StepResult] = []
        self._names, self._bindings = names, bindings
        self._built: dict[str, BuiltSchema] = {}
        self._index: dict[str, int] = {}
        self._sql: dict[str, str] = {}
        self._compile_seconds: dict[str, float] = {}
        self._began = time.time()
        self.tee: Callable[[str], None] = lambda text: None
        shown = sys.stdout or io.StringIO()  # None: closed by whoever started the run
        self._terminal = Terminal(cast(TextIO, _Tee(shown, lambda text: self.tee(text))))
        first = next(iter(bindings.values()), None)
        self._project: Project | None = first.project if first else None
        self._target = first.target.name if first else ""
        self._journal: Journal | None = None
        self._broke = ""
        self._header: RunHeader | None = None
        self._end: RunEnd | None = None
        if first is not None:
            self._header = RunHeader(
                run_id=run_id,
                project=first.project.name,
                target=first.target.name,
                started_at=self._began,
                steps=tuple(names.values()),
                version=version("dagster-models"),
                slots=room.slots,
                limits=room.limits,
                upstream={
                    names[step]: tuple(names[read] for read in upstream)
                    for step, upstream in room.upstream.items()
                },
            )
            try:
                self._journal = Journal(self.folder, self._header)
            except OSError as error:
                self._cannot_write(error)

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        assert self._project is not None
        return Path(self._project.root) / "target"

    def begun(self, slots: int) -> None:
        kinds = Counter(binding.step.kind for binding in self._bindings.values())
        self._terminal.found(
            models=kinds["sql"] + kinds["python"],
            scripts=kinds["script"],
            seeds=kinds["seed"],
            checks=sum(len(binding.step.checks) for binding in self._bindings.values()),
        )
        self._terminal.concurrency(slots, self._target)

    def note(self, text: str) -> None:
        self._terminal.note(text)

    def broke(self, error: BaseException) -> None:
        """The executor itself failed: the console that would tell of it is silenced.

        What is raised on purpose says all; of anything else the traceback does.
        """
        self._broke = str(error)
        if not isinstance(error, DagsterModelsError):
            traceback.print_exception(error, file=sys.stderr)
            self._broke = f"{type(error).__name__}: {error}"
        self.note(f"The run broke: {self._broke}")

    def started(self, step_key: str, sql: str, compile_seconds: float = 0.0) -> None:
        self._index.setdefault(step_key, len(self._index) + 1)
        self._sql[self._names[step_key]] = sql
        self._compile_seconds[step_key] = compile_seconds
        blank = self._result(step_key, State.SUCCEEDED, 1, None)
        self._terminal.started(self._index[step_key], len(self._names), blank)

    def waiting(self, reason: str, limit: int | None, seconds: float, step_keys: list[str]) -> None:
        """A limit has held steps back for so long."""
        first, *others = (self._names[key] for key in step_keys)
        more = f" and {len(others)} more" if others else ""
        since = f" (for {seconds:.0f}s)" if seconds >= LONG_SECONDS else ""
        self.note(f"Waiting for {limit_words(reason, limit)}: {first}{more}{since}")

    def output(self, step_key: str, stream: str, text: str) -> None:
        self._terminal.output(self._names[step_key], stream, text)

    def retrying(
        self, step_key: str, attempt: int, outcome: Outcome, message: str, delay_seconds: float
    ) -> None:
        result = self._result(step_key, State.FAILED, attempt, outcome, message)
        index = self._index[step_key]
        self._terminal.retry(index, len(self._names), result, delay_seconds)

    @property
    def succeeded(self) -> bool:
        """Every step that was reported has succeeded."""
        return all(result.state == "succeeded" for result in self.results)

    def _message(self, report: Report, outcome: Outcome | None) -> str:
        """What became of a step, in one sentence; "" where it succeeded."""
        cause = self._names[report.cause] if report.cause else None
        if report.state is State.SUCCEEDED:
            return ""
        if report.state is State.SKIPPED:
            path = " -> ".join(self._names[key] for key in report.path)
            if cause is None:
                return "the run was stopped"
            if report.no_previous:
                return f"upstream {cause} failed and has no previous version to build on ({path})"
            return (
                f"upstream {cause} did not succeed ({path})" if path else f"stopped after {cause}"
            )
        if report.timed_out:
            return "its timeout passed; it was canceled and rolled back"
        if report.state is State.CANCELED:
            return ""  # the terminal and the results know what to say of it
        return why(self._bindings.get(report.step), outcome) if outcome else "failed"

    def finished(
        self,
        report: Report,
        attempt: int,
        outcome: Outcome | None,
        waited: StepWaits | None,
        built_on_previous: tuple[str, ...],
        committed_in: str = "",
    ) -> str:
        """Write a step's end down: the journal first, as it must not lack what is committed.

        Returns what became of the step, in one sentence; "" where it succeeded.
        """
        step_key = report.step
        message = self._message(report, outcome)
        result = self._result(step_key, report.state, attempt, outcome, message, report)
        names = tuple(self._names[key] for key in built_on_previous)
        result = replace(result, ended_at=time.time(), built_on_previous=names)
        if committed_in:  # it was not started in this run
            result = replace(result, attempt=0, started_at=None, committed_in=committed_in)
        if waited is not None:
            result = replace(result, ready_at=waited.ready_at, waited=waited.seconds)
        self.results.append(result)
        if self._journal is not None:
            self._safely(partial(self._journal.step, result))
        binding = self._bindings.get(step_key)
        # Of another target than that which the next load describes, the types may be others.
        ours = (
            binding is not None
            and binding.project is self._project
            and binding.target.name == binding.project.default_target
        )
        if ours and result.state == "succeeded" and outcome is not None and outcome.columns:
            self._built[result.step] = BuiltSchema(result.code_version, outcome.columns)
        self._index.setdefault(step_key, len(self._index) + 1)
        self._terminal.finished(self._index[step_key], len(self._names), result)
        return f"Canceled: {cancel_story(result)}" if result.state == "canceled" else message

    def _safely(self, write: Callable[[], None]) -> None:
        """A full disk costs the run its files, not its truth: the event log has it too."""
        try:
            write()
        except OSError as error:
            self._cannot_write(error)

    def _cannot_write(self, error: OSError) -> None:
        self.note(f"WARNING: the results could not be written: {error}")

    def explanation(self) -> Explanation | None:
        """Why the run took as long as it did; None if none of its steps was ours."""
        return explain(JournalContents(self._header, tuple(self.results), self._end))

    def ended(self, status: str) -> None:
        """``status``: "success", "failure" or "canceled"."""
        seconds = time.time() - self._began
        self._end = RunEnd(status, totals(self.results), seconds)
        if self._journal and self._project and self._header:
            self._safely(partial(self._journal.end, status, self.results, seconds))
            if self._journal.is_removed():
                self.note(f"WARNING: {self._journal.path} was removed during the run")
            self._journal.close()
            self._safely(
                partial(
                    write_run_results,
                    self.folder / "run_results.json",
                    self.results,
                    header=self._header,
                    seconds=seconds,
                    generated_at=time.time(),
                    compiled=self._sql,
                    names=[str(key) for key in self._project.steps],
                )
            )
            self._safely(partial(remember, self._project.root, self._built))
        self._terminal.done(self.results, seconds, self._broke)

    def _result(
        self,
        step_key: str,
        state: State,
        attempt: int,
        outcome: Outcome | None,
        message: str = "",
        report: Report | None = None,
    ) -> StepResult:
        binding = self._bindings.get(step_key)
        step = binding.step if binding else None
        relation = binding.relation if binding else None
        started = outcome is not None and state is not State.SKIPPED
        return StepResult(
            step=self._names[step_key],
            kind=step.kind if step else "asset",
            materialized=_materialized(binding),
            state=state.value,  # type: ignore[arg-type]
            attempt=attempt,
            started_at=outcome.started_at if outcome and started else None,
            seconds=outcome.seconds if outcome else 0.0,
            compile_seconds=self._compile_seconds.get(step_key, 0.0),
            rows=outcome.rows if outcome else None,
            relation=str(relation) if relation else "",
            message=message,
            cause=self._names[report.cause] if report and report.cause else None,
            path=tuple(self._names[key] for key in report.path) if report else (),
            no_previous=report.no_previous if report else False,
            error=outcome.error if outcome else None,
            file=step.location.path if step else "",
            checks=outcome.checks if outcome else (),
            code_version=step.code_version if step else "",
        )


def _materialized(binding: TargetStep | None) -> str:
    if binding is None or binding.step.kind == "script":
        return ""
    return binding.step.config.materialized if binding.step.kind == "sql" else "table"


def limit_words(reason: str, limit: int | None) -> str:
    """A limit that a step waits for: ``tag heavy (at most 1 in flight)``."""
    return f"{reason} (at most {limit} in flight)" if limit else f"a slot in {reason}"


def lost_outcome(step: str, attempt: int, message: str, started_at: float) -> Outcome:
    """The outcome of an attempt whose worker is gone, as long as nothing better is known."""
    return Outcome(
        step=step,
        attempt=attempt,
        verdict=Verdict.UNKNOWN,
        started_at=started_at,
        seconds=max(0.0, time.time() - started_at),
        error=TaskError(ErrorKind.WORKER_LOST, message),
    )


def why(binding: TargetStep | None, outcome: Outcome) -> str:
    """Why an attempt did not commit, in one sentence, with the place in the user's file."""
    error = outcome.error
    if error is None:
        failed = [c for c in outcome.checks if not c.passed and c.severity == "error"]
        told = (
            f"check {c.name} failed: {c.error.message if c.error else f'{c.failures:,} rows'}"
            for c in failed
        )
        return "; ".join(told)
    text = f"{error.title}: {error.message}"
    if binding is not None and error.line is not None:
        return f"{text} ({binding.step.location.path}:{error.line})"
    return text


def failed_to_start(step: str, attempt: int, error: Exception, started_at: float) -> Outcome:
    """The outcome of an attempt that no worker ever got."""
    canceled = isinstance(error, Canceled)
    if isinstance(error, WarehouseError):
        found = TaskError.of(error)
    else:
        found = TaskError(
            ErrorKind.OTHER,
            str(getattr(error, "what", None) or error),
            type(error).__name__,
            getattr(error, "line", None),
        )
    return Outcome(
        step=step,
        attempt=attempt,
        verdict=Verdict.CANCELED if canceled else Verdict.ROLLED_BACK,
        started_at=started_at,
        seconds=max(0.0, time.time() - started_at),
        error=found,
    )


class _Tee(io.TextIOBase):
    """Writes to a stream and to a sink; what the terminal asks of a stream is the stream's."""

    def __init__(self, stream: TextIO, sink: Callable[[str], None]) -> None:
        self._stream, self._sink = stream, sink

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def write(self, text: str) -> int:
        self._sink(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()
