"""What a run reports while it goes on: terminal, journal and results file, from one StepResult.

execution ── started, output, retrying, finished ──> Reporter ──> Terminal      as it happens
                                                        └───────> RunFiles, for each project
RunFiles ──> Journal, a line per step; run_results, at the end
"""

from __future__ import annotations

import io
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome
from dagster_models.core.model import EMPTY, Project
from dagster_models.errors import DagsterModelsError
from dagster_models.reporting.explain import Explanation, explain
from dagster_models.reporting.journal import JournalContents, RunEnd, this_host
from dagster_models.reporting.past_runs import step_seconds
from dagster_models.reporting.progress import Progress
from dagster_models.reporting.results import ResultState, RunHeader, StepResult, totals
from dagster_models.reporting.run_files import RunFiles
from dagster_models.reporting.step_results import step_result
from dagster_models.reporting.terminal import Terminal
from dagster_models.reporting.waits import LONG_SECONDS, StepWaits
from dagster_models.reporting.wording import partition_notes
from dagster_models.scheduling.states import Report, State
from dagster_models.util.steady_clock import steady_time

_RESULT_STATES: Mapping[State, ResultState] = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELED: "canceled",
    State.SKIPPED: "skipped",
    State.UNCHANGED: "unchanged",
}


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How much of a run may be in flight, by step key: what its ``RunHeader`` says of that."""

    slots: int
    limits: Mapping[str, int]
    upstream: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run was asked for: ``deferred`` and ``variables`` as in ``RunHeader``."""

    deferred: Mapping[str, str] = EMPTY
    variables: str = ""


class Reporter:
    """Reports one run to the terminal, the journal and run_results.json.

    Args:
        names: step key -> the name to show, for all steps of the run.
        target_steps: our own steps among them, by step key.
        settings: what the run is asked for.

    Each project among the steps gets files of the run; a run of only foreign steps has no files.
    """

    def __init__(
        self,
        run_id: str,
        names: Mapping[str, str],
        target_steps: Mapping[str, TargetStep],
        limits: RunLimits,
        settings: RunSettings | None = None,
    ) -> None:
        self.results: list[StepResult] = []
        #: Gets the text of the terminal, too.
        self.tee: Callable[[str], None] = lambda text: None
        self._names, self._target_steps = names, target_steps
        self._states: dict[str, ResultState] = {}  # of finished steps, by name
        self._foreign: set[str] = set()  # those of other kinds that are running
        self._positions: dict[str, int] = {}  # "3 of 14", in the order in which they started
        self._sql: dict[str, str] = {}
        self._compile_seconds: dict[str, float] = {}
        self._began = steady_time()
        self._broke = ""
        self._end: RunEnd | None = None
        shown = sys.stdout or io.StringIO()  # None: closed by whoever started the run
        self._terminal = Terminal(shown, copy=lambda text: self.tee(text))
        first = next(iter(target_steps.values()), None)
        self._target = first.target.name if first else ""
        self.header = self._make_header(run_id, first.project, limits) if first else None
        if self.header is not None and settings is not None:
            deferred, variables = settings.deferred, settings.variables
            self.header = replace(self.header, deferred=deferred, variables=variables)
        self.files = list(self._make_files())

    def _make_files(self) -> Iterator[RunFiles]:
        by_folder: dict[str, dict[str, TargetStep]] = {}
        for step_key, target_step in self._target_steps.items():
            folder = by_folder.setdefault(target_step.project.target_path, {})
            folder[self._names[step_key]] = target_step
        ours = {self._names[step_key] for step_key in self._target_steps}
        for own in by_folder.values():
            assert self.header is not None
            yield RunFiles(self.header, own, ours.difference(own), self.note)

    def _make_header(self, run_id: str, project: Project, limits: RunLimits) -> RunHeader:
        return RunHeader(
            run_id=run_id,
            project=project.name,
            target=self._target,
            started_at=self._began,
            steps=tuple(self._names.values()),
            version=version("dagster-models"),
            host=this_host(),
            slots=limits.slots,
            limits=limits.limits,
            upstream={
                self._names[step]: tuple(self._names[read] for read in upstream)
                for step, upstream in limits.upstream.items()
            },
        )

    @property
    def succeeded(self) -> bool:
        """Whether every step that was reported has succeeded, or was not to run."""
        return all(result.good for result in self.results)

    # -- the run -----------------------------------------------------------------------------------

    def begun(self, slots: int) -> None:
        """Report what the run consists of."""
        kinds = Counter(it.step.kind for it in self._target_steps.values() if it.builds)
        self._terminal.found(
            models=kinds["sql"] + kinds["python"],
            scripts=kinds["script"],
            seeds=kinds["seed"],
            checks=sum(len(target_step.step.checks) for target_step in self._target_steps.values()),
        )
        self._terminal.concurrency(slots, self._target)
        self._terminal.follow(lambda: self._progress(slots))

    def _progress(self, slots: int) -> Progress:
        if self.header is None:
            return Progress(dict.fromkeys(self._names.values(), ()), slots)
        first = next(iter(self._target_steps.values()))
        expected = step_seconds(first.project.target_path, self._target)
        return Progress(self.header.upstream, slots, expected)

    def note(self, text: str) -> None:
        """Print a line."""
        self._terminal.note(text)

    def broke(self, error: BaseException) -> None:
        """Report that the executor itself failed, as the console that would do so is silenced.

        An error that is raised on purpose says everything in its message. For any other the
        traceback is printed.
        """
        self._broke = str(error)
        self._terminal.hide_line(True)
        if not isinstance(error, DagsterModelsError):
            traceback.print_exception(error, file=sys.stderr)
            self._broke = f"{type(error).__name__}: {error}"
        self.note(f"The run broke: {self._broke}")

    def ended(self, status: str) -> None:
        """Report the end of the run; ``status``: "success", "failure" or "canceled"."""
        seconds = steady_time() - self._began
        self._end = RunEnd(status, totals(self.results), seconds)
        for files in self.files:
            files.ended(status, self.results, seconds, self._sql)
        self._terminal.done(self.results, seconds, self._broke)

    def explanation(self) -> Explanation | None:
        """Why the run took as long as it did; None if none of its steps is ours."""
        return explain(JournalContents(self.header, tuple(self.results), self._end))

    # -- its steps ---------------------------------------------------------------------------------

    def started(self, step_key: str, sql: str, compile_seconds: float = 0.0) -> None:
        """Report that an attempt of the step starts."""
        self._sql[self._names[step_key]] = sql
        self._compile_seconds[step_key] = compile_seconds
        result = self.result(step_key, State.SUCCEEDED, 1, None)  # its state is not shown yet
        if step_key not in self._target_steps:
            self._foreign.add(step_key)
            self._terminal.hide_line(True)  # the processes of these steps write to it themselves
        self._terminal.started(self._position(step_key), len(self._names), result)

    def waiting(self, reason: str, limit: int | None, seconds: float, step_keys: list[str]) -> None:
        """Report that a limit has held steps back for so long."""
        first, *others = (self._names[key] for key in step_keys)
        more = f" and {len(others)} more" if others else ""
        since = f" (for {seconds:.0f}s)" if seconds >= LONG_SECONDS else ""
        self.note(f"Waiting for {limit_words(reason, limit)}: {first}{more}{since}")

    def output(self, step_key: str, stream: str, text: str) -> None:
        """Report a line that the step printed."""
        self._terminal.output(self._names[step_key], stream, text)

    def retrying(
        self, step_key: str, attempt: int, outcome: Outcome, delay_seconds: float
    ) -> StepResult:
        """Report a failed attempt that another one follows; returns its result."""
        result = self.result(step_key, State.FAILED, attempt, outcome)
        position = self._position(step_key)
        self._terminal.retry(position, len(self._names), result, delay_seconds)
        return result

    def finished(
        self,
        report: Report,
        attempt: int,
        outcome: Outcome | None,
        waited: StepWaits | None,
        built_on_previous: tuple[str, ...],
        committed_in: str = "",
        because: str | None = None,
    ) -> StepResult:
        """Report a step's end, to the journal first, which must not lack what is committed.

        Returns the step's result.
        """
        step_key = report.step
        names = self._names
        result = replace(
            self.result(step_key, report.state, attempt, outcome),
            timed_out=report.timed_out,
            cause=names[report.cause] if report.cause else None,
            cause_state=self._states.get(names[report.cause]) if report.cause else None,
            path=tuple(names[key] for key in report.path),
            path_left_out=report.left_out,
            no_previous=report.no_previous,
            deliberate=report.deliberate,
            ended_at=steady_time(),
            built_on_previous=tuple(names[key] for key in built_on_previous),
            because=because or "",
        )
        if committed_in:  # it was not started in this run
            result = replace(result, attempt=0, started_at=None, committed_in=committed_in)
        if waited is not None:
            result = replace(result, ready_at=waited.ready_at, waited=waited.seconds)
        self.results.append(result)
        self._states[result.step] = result.state
        for files in self.files:
            files.step(result)
            built = result.state == "succeeded" and result.kind != "checks"
            if built and outcome is not None and outcome.columns:
                files.remember_columns(result, outcome)
        self._terminal.finished(self._position(step_key), len(self._names), result)
        if step_key in self._foreign:
            self._foreign.discard(step_key)
            self._terminal.hide_line(bool(self._foreign))
        for text in partition_notes(result):
            self.note(text)
        return result

    def checked(self, step_key: str, outcome: Outcome, index: int, total: int) -> StepResult:
        """Report the checks of a step that ran after all models; returns its result, with them."""
        name, target_step = self._names[step_key], self._target_steps[step_key]
        found = step_result(name, target_step, "succeeded", outcome).checks
        at = next(n for n, result in enumerate(self.results) if result.step == name)
        result = self.results[at] = replace(self.results[at], checks=found)
        for files in self.files:  # a reader of the journal takes the last line of a step
            files.step(result)
        self._terminal.checked(index, total, result)
        return result

    def result(
        self, step_key: str, state: State, attempt: int, outcome: Outcome | None
    ) -> StepResult:
        """The result of an attempt, without what the plan knows of it."""
        name, target_step = self._names[step_key], self._target_steps.get(step_key)
        result = step_result(name, target_step, _RESULT_STATES[state], outcome, attempt)
        return replace(result, compile_seconds=self._compile_seconds.get(step_key, 0.0))

    def _position(self, step_key: str) -> int:
        return self._positions.setdefault(step_key, len(self._positions) + 1)


def limit_words(reason: str, limit: int | None) -> str:
    """A limit that a step waits for: ``tag heavy (at most 1 in flight)``, ``a slot in pool x``."""
    return f"{reason} (at most {limit} in flight)" if limit else f"a slot in {reason}"
