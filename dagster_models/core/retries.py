"""How often a failed step is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a failed step is tried again, and after which delay: Dagster's RetryPolicy.

    After attempt n (counted from 1) the delay is ``delay_seconds``, multiplied by n if ``backoff``
    is linear and by 2**n - 1 if it is exponential. ``jitter`` randomises it as ``dagster.Jitter``
    does.
    """

    max_retries: int = 0
    delay_seconds: float = 0.0
    backoff: Literal["linear", "exponential"] | None = None
    jitter: Literal["full", "plus_minus"] | None = None


NO_RETRIES = Retries()
