"""Durations as people read them."""

from __future__ import annotations


def rounded(seconds: float) -> float:
    """*seconds* to three digits, but to no less than a millisecond and no more than a second.

    0.1234 -> 0.123, 12.34 -> 12.3, 1234.5 -> 1234.0. On a busy machine, any further digit that a
    clock around a step shows is noise.
    """
    digits = 3 if seconds < 1 else 2 if seconds < 10 else 1 if seconds < 100 else 0
    return float(round(seconds, digits))


def in_words(seconds: float) -> str:
    """``0.31s``, ``2m 05s``, ``1h 00m 10s``."""
    if seconds < 60:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m {rest:02}s" if hours else f"{minutes}m {rest:02}s"
