"""``checks: after``: the checks of a run's models, after the last of these has ended.

Every model is published before its checks run, and what reads it has been built, whatever they
find. So a check that fails undoes nothing: the run fails.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

from dagster import DagsterEvent

from dagster_models._dagster.event_log import one_commit
from dagster_models._dagster.events import check_results
from dagster_models.compilation.tasks import TargetStep, builder_of, checks_task
from dagster_models.core.checks import severity_of_error
from dagster_models.core.messages import CheckOutcome, Outcome, Verdict
from dagster_models.errors import DagsterModelsError, ErrorKind
from dagster_models.execution.check_results import asset_check_result
from dagster_models.execution.outcomes import failed_to_start, lost_outcome, shown
from dagster_models.execution.run_context import RunContext
from dagster_models.execution.runners.events import (
    Answered,
    Lost,
    NotStarted,
    Output,
    WorkerEvent,
)
from dagster_models.reporting.results import StepResult
from dagster_models.reporting.wording import check_failure, counted
from dagster_models.scheduling.states import State
from dagster_models.util.secrets import without
from dagster_models.util.steady_clock import steady_time

_STOOD = (State.SUCCEEDED, State.UNCHANGED)


class LateChecks:
    """Runs them where their kind runs, as many at a time as the run has slots."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._running: dict[str, float] = {}
        self._failed: list[StepResult] = []
        self._reported = self._total = 0
        self.going_on = bool(run.late)  #: they are not over: a stop does not come too late

    def events(self, interrupts: Callable[[], int]) -> Iterator[DagsterEvent]:
        """The results of the checks of all models that stand. After an interrupt no more begin, and
        those in flight are canceled; after a second one, or when they do not stop, they are ended.
        """
        run, killed_at = self._run, inf
        left = deque(key for key in run.late if run.plan.state(key) in _STOOD)
        self._total = len(left)
        if left and not interrupts():
            run.reporter.note(f"Checks of {counted(len(left), 'step')}, after all models")
        while left or self._running:
            if interrupts():
                left.clear()
                if killed_at == inf:
                    killed_at = time.monotonic() + run.options.cancel_grace_seconds
                    self._each(run.runners.cancel)
                if interrupts() > 1 or time.monotonic() > killed_at:
                    self._each(run.runners.kill)
            while left and len(self._running) < run.slots:
                yield from self._start(left.popleft())
            if self._running:
                seconds = max(0.05, killed_at - time.monotonic())
                for event in run.runners.queue.wait(None if seconds == inf else seconds):
                    yield from self._on(event)
        self.going_on = False

    def raise_if_any_failed(self) -> None:
        """Raise DagsterModelsError, so that the run fails, if a check did that does not only
        warn."""
        if self._failed:
            every = [
                f"{result.step}: {check.name}: {check_failure(check)}"
                for result in self._failed
                for check in result.failed_checks
            ]
            raise DagsterModelsError(
                f"{counted(len(every), 'check')} failed after all models were published: "
                + "; ".join(every)
            )

    def _each(self, act: Callable[[str], None]) -> None:
        for key in self._running:
            act(key)

    def _start(self, key: str) -> Iterator[DagsterEvent]:
        it, now = self._run.late[key], steady_time()
        try:
            task = replace(
                checks_task(it, self._run.run_id, 1), builder=builder_of(it.project, it.target)
            )
            self._running[key] = now
            self._run.runners.of(task).start(key, task, it.address)
        except Exception as error:  # whatever it is, the other checks must run
            self._running.pop(key, None)
            yield from self._report(key, failed_to_start(it.name, 1, error, now))

    def _on(self, event: WorkerEvent) -> Iterator[DagsterEvent]:
        if event.step not in self._running:
            return
        it, began = self._run.late[event.step], self._running[event.step]
        if isinstance(event, Output):  # of a Python function
            text = without(event.text, it.project.secrets)
            self._run.reporter.output(event.step, event.stream, text)
            return
        if isinstance(event, Answered):
            outcome = event.outcome
        elif isinstance(event, NotStarted):
            outcome = failed_to_start(it.name, 1, event.error, began)
        elif isinstance(event, Lost):
            outcome = lost_outcome(it.name, 1, event.message, began)
            if event.killed:
                outcome = replace(outcome, verdict=Verdict.CANCELED)
        else:
            return
        del self._running[event.step]
        yield from self._report(event.step, outcome)

    def _report(self, key: str, outcome: Outcome) -> Iterator[DagsterEvent]:
        """Checks that a stop kept from running have no result."""
        run = self._run
        if outcome.verdict is not Verdict.CANCELED:
            outcome = _complete(outcome, run.late[key])
        outcome = shown(outcome, run.late[key].project.secrets)
        for note in outcome.notes:
            run.reporter.note(f"{run.late[key].name}: {note}")
        self._reported += 1
        result = run.reporter.checked(key, outcome, self._reported, self._total)
        if result.failed_later:
            self._failed.append(result)
        context = run.job.for_step(run.steps[key])
        target = run.late[key].target.name
        found = [asset_check_result(check, target) for check in result.checks]
        with one_commit(run.job):
            events = list(check_results(context, found))
        yield from events


def _complete(outcome: Outcome, it: TargetStep) -> Outcome:
    """The outcome with a result of each check: one that was not reached could not run."""
    known, error = {check.name for check in outcome.checks}, outcome.error
    if error is None or error.kind is ErrorKind.CHECK_FAILED:
        return outcome
    rest = (
        CheckOutcome(check.name, severity_of_error(check.thresholds), error=error)
        for check in it.step.checks
        if check.name not in known
    )
    return replace(outcome, checks=(*outcome.checks, *rest))
