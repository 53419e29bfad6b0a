"""How long each step waited, and for what: the plan's ``Wait`` instructions with a clock.

    ready_at ── slot 0.4 s ── tag heavy 2 s ── (in flight) ── retry delay 5 s ── (in flight) ── end

All times are of one clock, ``time.time``, so that they add up: what a step did not wait between
``ready_at`` and its end, it was in flight.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Waited:
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


class Waits:
    """All steps of one run that were ever ready."""

    def __init__(self) -> None:
        self._steps: dict[str, Waited] = {}

    def turn(self, step: str, reason: str | None) -> None:
        """The step waits for *reason* from now on; None: it was started, or given up."""
        now = time.time()
        self._steps.setdefault(step, Waited(now)).turn_to(reason, now)

    def end(self, step: str) -> Waited | None:
        """What became of its time, once it is over. None: it was never ready."""
        if step in self._steps:
            self.turn(step, None)
        return self._steps.get(step)
