"""Shows in the UI and the terminal which limits steps wait for, once they have waited a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dagster import DagsterEvent

from dagster_models._dagster.events import engine_event, pool_blocked
from dagster_models._dagster.types import ExecutionStep, PlanExecutionContext
from dagster_models.execution.timers import Due, Timers
from dagster_models.reporting.reporter import Reporter, limit_words
from dagster_models.reporting.waits import (
    REPORT_AFTER_SECONDS,
    REPORT_EVERY_SECONDS,
    WaitTimes,
)


class WaitNotifier:
    """Reports the waits of a run, with a timer of kind "waits" while a step waits for a limit."""

    def __init__(
        self,
        waits: WaitTimes,
        job: PlanExecutionContext,
        steps: Mapping[str, ExecutionStep],
        limits: Mapping[str, int],
        reporter: Reporter,
        timers: Timers,
    ) -> None:
        self._waits = waits
        self._job, self._steps, self._limits = job, steps, limits
        self._reporter, self._timers = reporter, timers
        self._armed = False

    def wait(self, step: str, reason: str) -> None:
        """The step waits for *reason* from now on."""
        self._waits.turn(step, reason)
        if self._waits.limited and not self._armed:
            self._arm(REPORT_AFTER_SECONDS)

    def notify(self) -> Iterator[DagsterEvent]:
        """Print what is due to the terminal; yield an event for one step at most."""
        for reason, seconds, steps in self._waits.reminders():
            self._reporter.waiting(reason, self._limits.get(reason), seconds, steps)
        self._armed = False
        unreported = self._waits.next_unreported()
        if unreported is not None:
            yield self._event(*unreported)
        if self._waits.limited:
            self._arm(REPORT_AFTER_SECONDS if unreported is None else REPORT_EVERY_SECONDS)

    def _event(self, step: str, reason: str) -> DagsterEvent:
        context = self._job.for_step(self._steps[step])
        if reason.startswith("pool "):
            return pool_blocked(context)
        return engine_event(context, f"Waiting for {limit_words(reason, self._limits.get(reason))}")

    def _arm(self, seconds: float) -> None:
        self._armed = True
        self._timers.add(seconds, Due("waits", "", 0))
