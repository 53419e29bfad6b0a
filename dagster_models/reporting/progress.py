"""What a run is doing now, as one line: finished, elapsed, expected, running.

5 of 14 done, 12s of ~40s | marts.carrier_delays 4s of ~6s, raw.flights 1s, and 2 more
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence

from dagster_models.core.model import EMPTY
from dagster_models.reporting.printable import clean
from dagster_models.scheduling.forecast import forecast
from dagster_models.util.steady_clock import steady_time


class Progress:
    """The steps of a run that are running and those that are over. Its line may be asked for from
    any thread.

    Args:
        graph: step -> its upstreams, by the names that are shown.
        slots: how many steps may be in flight at once.
        expected: how long steps took before.
    """

    def __init__(
        self,
        graph: Mapping[str, Sequence[str]],
        slots: int,
        expected: Mapping[str, float] = EMPTY,
        clock: Callable[[], float] = steady_time,
    ) -> None:
        self._graph, self._slots, self._expected = graph, slots, expected
        self._clock, self._began = clock, clock()
        # Both are replaced and never changed, as another thread may be reading them.
        self._running: Mapping[str, float] = {}
        self._over: frozenset[str] = frozenset()
        self._forecast: tuple[object, float | None] = None, None

    def started(self, step: str) -> None:
        self._running = {**self._running, step: self._clock()}

    def stopped(self, step: str) -> None:
        """An attempt of the step is over, and another one follows."""
        self._running = {name: at for name, at in self._running.items() if name != step}

    def over(self, step: str) -> None:
        self.stopped(step)
        self._over = self._over | {step}

    def line(self, width: int) -> str:
        """The line, in so many columns of a terminal. What has no room is left out: first running
        steps, the latest ones first, then the times."""
        now, running = self._clock(), self._running
        total = len(self._graph)
        elapsed = short(now - self._began)
        ends = self._ends_at(now, running)
        times = f"{elapsed} of ~{short(max(ends, now) - self._began)}" if ends else elapsed
        count = f"{len(self._over)} of {total} done"
        head = next(
            (it for it in (f"{count}, {times}", count) if cells(it) <= width),
            f"{len(self._over)}/{total}",
        )
        steps = [self._one(step, now - at) for step, at in running.items()]
        for shown in range(len(steps), 0, -1):
            more = f", and {len(steps) - shown} more" if shown < len(steps) else ""
            whole = f"{head} | {', '.join(steps[:shown])}{more}"
            if cells(whole) <= width:
                return whole
        return fitting(head, width)

    def _one(self, step: str, seconds: float) -> str:
        expected = self._expected.get(step)
        of = f" of ~{short(expected)}" if expected is not None and expected >= 1 else ""
        return f"{clean(step)} {short(seconds)}{of}"

    def _ends_at(self, now: float, running: Mapping[str, float]) -> float | None:
        """When the run ends, by how long its steps took before. It is computed when something has
        started or ended."""
        state = (running, self._over)
        if self._forecast[0] != state:
            left = {step: of for step, of in self._graph.items() if step not in self._over}
            since = {step: now - at for step, at in running.items()}
            found = forecast(left, self._expected, self._slots, since) if left else None
            self._forecast = state, None if found is None else now + found.seconds
        return self._forecast[1]


def short(seconds: float) -> str:
    """``4s``, ``1m 05s``, ``2h 10m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return sum(
        2 if unicodedata.east_asian_width(char) in "WF" else not unicodedata.combining(char)
        for char in text
    )


def fitting(text: str, width: int) -> str:
    """The text, cut at the end if it takes more columns than there are."""
    while cells(text) > width:
        text = text[:-1]
    return text
