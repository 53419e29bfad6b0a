"""Durations as people read them."""

from __future__ import annotations


def rounded(seconds: float) -> float:
    """*seconds* to three digits, but to no less than a millisecond and no more than a second.

    0.1234 -> 0.123, 12.34 -> 12.3, 1234.5 -> 1234.0. On a busy machine, any further digit that a
    clock around a step shows is noise.
    """
    digits = 3 if seconds < 1 else 2 if seconds < 10 else 1 if seconds < 100 else 0
    return float(round(seconds, digits))
