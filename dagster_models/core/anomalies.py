"""What a number of a relation may be, by what it was after earlier builds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dagster_models.core.checks import Check

#: The kind of check that looks back at whatever number, by default at so many values and so many
#: standard deviations around them.
ANOMALY = "anomaly"
LAST, DEVIATIONS = 20, 3
#: With fewer earlier values than this, or than are asked for, deviations say nothing.
LEAST = 5


def looks_back(check: Check) -> bool:
    """Whether the check compares with earlier values."""
    return check.test == ANOMALY or (check.test == "row_count" and "within" in check.arguments)


@dataclass(frozen=True, slots=True)
class Expected:
    """The numbers from ``low`` to ``high``; ``why`` says what they come from."""

    low: float
    high: float
    why: str

    def __str__(self) -> str:
        return f"expected {_shown(self.low)} to {_shown(self.high)} ({self.why})"


def by_deviations(values: Sequence[float], last: int, deviations: float) -> Expected | None:
    """So many standard deviations around the mean of the *last* of the *values*, which are in the
    order of time; None if there are too few of them."""
    values = values[-last:]
    if len(values) < max(2, min(LEAST, last)):
        return None
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    reach = deviations * deviation
    why = f"{_shown(deviations)} standard deviations around {_of(values)}"
    return Expected(*_outwards(mean - reach, mean + reach), why)


def by_percent(values: Sequence[float], last: int, percent: float) -> Expected | None:
    """So many percent around the mean of the *last* of the *values*; None if there is none."""
    values = values[-last:]
    if not values:
        return None
    mean = statistics.fmean(values)
    reach = abs(mean) * percent / 100
    return Expected(*_outwards(mean - reach, mean + reach), f"{_shown(percent)}% of {_of(values)}")


def _outwards(low: float, high: float) -> tuple[float, float]:
    """A number that is exactly on a bound is inside, whatever was rounded on the way."""
    slack = 1e-9 * max(abs(low), abs(high))
    return low - slack, high + slack


def _of(values: Sequence[float]) -> str:
    listed = ", ".join(map(_shown, values))
    return f"the mean of the last {len(values)}: {listed}"


def _shown(value: float) -> str:
    """Six digits of it, and a whole number in full."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.6g}"
