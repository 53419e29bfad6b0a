"""How long each step waited, and for what: the plan's ``ReportWait`` instructions with a clock.

    ready_at ── slot 0.4 s ── tag heavy 2 s ── (in flight) ── retry delay 5 s ── (in flight) ── end

All times are of one clock, ``time.time``, so that they add up: what a step did not wait between
``ready_at`` and its end, it was in flight.

Who waits for a limit is told so after a while (``telling``): a slot is no news.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dagster_models.scheduling.states import RETRY_DELAY, SLOT

TELL_AFTER_SECONDS = 1.0  #: shorter waits are not worth an event
TELL_EVERY_SECONDS = 0.1  #: one at a time: a thousand steps that wait must not hold up the loop
LONG_SECONDS = 60.0  #: the terminal reminds of a wait after this, and after each doubling of it


@dataclass(slots=True)
class StepWaits:
    """One step: since when it may start (epoch seconds), and reason -> seconds so far."""

    ready_at: float
    seconds: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    since: float = 0.0

    def turn_to(self, reason: str | None, now: float) -> None:
        """From *now* on it waits for *reason*; None: it does not wait any more."""
        if self.reason is not None:
            passed = max(0.0, now - self.since)
            self.seconds[self.reason] = self.seconds.get(self.reason, 0.0) + passed
        self.reason, self.since = reason, now


@dataclass(slots=True)
class _Queue:
    """The steps that wait for one limit. ``told_seconds``: the length of the wait that the terminal
    was told last, since ``since``; None: nothing yet."""

    steps: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    since: float = 0.0
    told_seconds: float | None = None


class WaitTimes:
    """All steps of one run that were ever ready."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._steps: dict[str, StepWaits] = {}
        self._queues: dict[str, _Queue] = {}
        self._untold: deque[tuple[float, str, str]] = deque()  # when to tell, step, reason
        self._seen: set[tuple[str, str]] = set()

    def turn(self, step: str, reason: str | None) -> None:
        """The step waits for *reason* from now on; None: it was started, or given up."""
        now = self._clock()
        waited = self._steps.setdefault(step, StepWaits(now))
        if waited.reason in self._queues:
            self._queues[waited.reason].steps.pop(step, None)
        waited.turn_to(reason, now)
        if reason is None or reason in (SLOT, RETRY_DELAY):
            return
        queue = self._queues.setdefault(reason, _Queue())
        if not queue.steps:
            queue.since, queue.told_seconds = now, None
        queue.steps[step] = None
        if (step, reason) not in self._seen:
            self._seen.add((step, reason))
            self._untold.append((now + TELL_AFTER_SECONDS, step, reason))

    def end(self, step: str) -> StepWaits | None:
        """What became of its time, once it is over. None: it was never ready."""
        if step in self._steps:
            self.turn(step, None)
        return self._steps.get(step)

    # -- what is told ----------------------------------------------------------------------------

    @property
    def limited(self) -> bool:
        """Somebody waits for a limit."""
        return any(queue.steps for queue in self._queues.values())

    def next_untold(self) -> tuple[str, str] | None:
        """A step, and the limit that it has waited for long enough to be told so, once for both."""
        while self._untold and self._untold[0][0] <= self._clock():
            _, step, reason = self._untold.popleft()
            if self._steps[step].reason == reason:
                return step, reason
        return None

    def reminders(self) -> list[tuple[str, float, list[str]]]:
        """(reason, seconds, steps): limits that were waited for so long that it is told (again)."""
        out = []
        for reason, queue in self._queues.items():
            seconds = self._clock() - queue.since
            told = queue.told_seconds
            least = TELL_AFTER_SECONDS if told is None else max(LONG_SECONDS, 2 * told)
            if queue.steps and seconds >= least:
                queue.told_seconds = seconds
                out.append((reason, seconds, list(queue.steps)))
        return out
