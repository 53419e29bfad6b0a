"""How long each step waited, and for what: the plan's ``ReportWait`` instructions with a clock.

    ready_at ── slot 0.4 s ── tag heavy 2 s ── (in flight) ── retry delay 5 s ── (in flight) ── end

All times are of one clock, ``steady_time``, so that they add up: whenever a step does not wait
between ``ready_at`` and its end, it is in flight.

A wait for a limit is reported after a while. A wait for a slot or a retry delay is no news.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dagster_models.scheduling.states import RETRY_DELAY, SLOT
from dagster_models.util.steady_clock import steady_time

REPORT_AFTER_SECONDS = 1.0  #: shorter waits are not worth an event
REPORT_EVERY_SECONDS = 0.1  #: an event each: a thousand waiting steps must not hold up the loop
LONG_SECONDS = 60.0  #: the terminal repeats a wait after this, and whenever it has doubled


@dataclass(slots=True)
class StepWaits:
    """One step: since when it may start (epoch seconds), and reason -> seconds so far."""

    ready_at: float
    seconds: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    since: float = 0.0

    def turn_to(self, reason: str | None, now: float) -> None:
        """From *now* on the step waits for *reason*; None: it does not wait any more."""
        if self.reason is not None:
            passed = max(0.0, now - self.since)
            self.seconds[self.reason] = self.seconds.get(self.reason, 0.0) + passed
        self.reason, self.since = reason, now


@dataclass(slots=True)
class _Waiters:
    """The steps that wait for one limit, without a pause since ``since``.

    ``reported_seconds``: how long it had lasted when the terminal last reported it.
    """

    steps: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    since: float = 0.0
    reported_seconds: float | None = None


class WaitTimes:
    """The waits of all steps of one run."""

    def __init__(self, clock: Callable[[], float] = steady_time) -> None:
        self._clock = clock
        self._steps: dict[str, StepWaits] = {}
        self._waiters: dict[str, _Waiters] = {}  # by limit
        self._unreported: deque[tuple[float, str, str]] = deque()  # when it is due, step, limit
        self._seen: set[tuple[str, str]] = set()

    def turn(self, step: str, reason: str | None) -> None:
        """The step waits for *reason* from now on; None: it was started, or given up."""
        now = self._clock()
        waited = self._steps.setdefault(step, StepWaits(now))
        if waited.reason in self._waiters:
            self._waiters[waited.reason].steps.pop(step, None)
        waited.turn_to(reason, now)
        if reason is None or reason in (SLOT, RETRY_DELAY):
            return
        waiters = self._waiters.setdefault(reason, _Waiters())
        if not waiters.steps:
            waiters.since, waiters.reported_seconds = now, None
        waiters.steps[step] = None
        if (step, reason) not in self._seen:
            self._seen.add((step, reason))
            self._unreported.append((now + REPORT_AFTER_SECONDS, step, reason))

    def end(self, step: str) -> StepWaits | None:
        """What a step that is over has waited for; None: it was never ready."""
        if step in self._steps:
            self.turn(step, None)
        return self._steps.get(step)

    # -- what is reported --------------------------------------------------------------------------

    @property
    def limited(self) -> bool:
        """Whether a step waits for a limit."""
        return any(waiters.steps for waiters in self._waiters.values())

    def next_unreported(self) -> tuple[str, str] | None:
        """A step and the limit that it has waited for long enough; each pair comes once."""
        while self._unreported and self._unreported[0][0] <= self._clock():
            _, step, reason = self._unreported.popleft()
            if self._steps[step].reason == reason:
                return step, reason
        return None

    def reminders(self) -> list[tuple[str, float, list[str]]]:
        """(reason, seconds, steps) of the limits whose wait is due to be reported (again)."""
        found = []
        for reason, waiters in self._waiters.items():
            seconds = self._clock() - waiters.since
            last = waiters.reported_seconds
            least = REPORT_AFTER_SECONDS if last is None else max(LONG_SECONDS, 2 * last)
            if waiters.steps and seconds >= least:
                waiters.reported_seconds = seconds
                found.append((reason, seconds, list(waiters.steps)))
        return found
