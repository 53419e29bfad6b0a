"""What a number of a relation may be, by what it was after earlier builds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: With fewer earlier values than this, or than are asked for, deviations say nothing.
LEAST = 5


@dataclass(frozen=True, slots=True)
class Expected:
    """The numbers from ``low`` to ``high``; ``why`` says what they come from."""

    low: float
    high: float
    why: str


def by_deviations(values: Sequence[float], last: int, deviations: float) -> Expected | None:
    """So many standard deviations around the mean of the *last* of the *values*, which are in the
    order of time; None if there are too few of them."""
    values = values[-last:]
    if len(values) < max(2, min(LEAST, last)):
        return None
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    reach = deviations * deviation
    why = f"{_shown(deviations)} deviations of {_shown(deviation)} around {_shown(mean)},"
    return Expected(*_outwards(mean - reach, mean + reach), f"{why} {_of(values)}")


def by_percent(values: Sequence[float], last: int, percent: float) -> Expected | None:
    """So many percent around the mean of the *last* of the *values*; None if there is none."""
    values = values[-last:]
    if not values:
        return None
    mean = statistics.fmean(values)
    reach = abs(mean) * percent / 100
    why = f"{_shown(percent)}% around {_shown(mean)}, {_of(values)}"
    return Expected(*_outwards(mean - reach, mean + reach), why)


def _outwards(low: float, high: float) -> tuple[float, float]:
    """A number that is exactly on a bound is inside, whatever was rounded on the way."""
    slack = 1e-9 * max(abs(low), abs(high))
    return low - slack, high + slack


def _of(values: Sequence[float]) -> str:
    listed = ", ".join(map(_shown, values))
    return f"the mean of the last {len(values)}: {listed}" if len(values) > 1 else "the last one"


def _shown(value: float) -> str:
    """Six digits of it, and a whole number in full."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.6g}"
