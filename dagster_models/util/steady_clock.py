"""Moments whose differences are durations, whatever happens to the wall clock."""

from __future__ import annotations

import time

_OFFSET = time.time() - time.monotonic()


def steady_time() -> float:
    """Epoch seconds (UTC) that never go back: the wall clock when this process began, and the time
    that has passed since. NTP, a virtual machine or an administrator may set the wall clock back,
    and a duration that is a difference of its moments is then negative."""
    return _OFFSET + time.monotonic()
