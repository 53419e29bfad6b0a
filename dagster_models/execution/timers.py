"""What the loop does at a certain time. This is its only clock besides time stamps."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

TimerKind: TypeAlias = Literal["timeout", "kill", "delay", "claim", "waits"]


class Due(NamedTuple):
    """``attempt``: the attempt of the step that it is for, and void once that is over. Of a
    "claim" it is the number of the step's question to its pool instead."""

    kind: TimerKind
    step: str
    attempt: int


@dataclass(slots=True)
class Timers:
    _heap: list[tuple[float, int, Due]] = field(default_factory=list)
    _count: int = 0

    def add(self, seconds: float, due: Due) -> None:
        """Let ``due`` yield it after so many seconds."""
        self._count += 1
        heapq.heappush(self._heap, (time.monotonic() + seconds, self._count, due))

    def seconds_left(self) -> float | None:
        """Until the next one is due; None: there is none."""
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None

    def due(self) -> Iterator[Due]:
        """All that are due by now, which are then removed."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            yield heapq.heappop(self._heap)[2]
