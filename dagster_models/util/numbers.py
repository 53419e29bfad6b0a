"""Numbers as people read them."""

from __future__ import annotations

import math

#: A float has 15 to 17 digits, of which arithmetic spoils the last ones. A whole number below this
#: is left as it is.
_DIGITS = 10


def readable(number: float) -> float:
    """*number* without the digits that only say how it was computed.

    0.30000000000000004 -> 0.3, 33.33333333333333 -> 33.33333333, 123456789012345.0 -> the same
    """
    return number if number == int(number) else float(f"{number:.{_DIGITS}g}")


def readable_percent(percent: float) -> float:
    """*percent* to four digits after the point; never 0 or 100 for what is not."""
    found = round(percent, 4)
    return percent if found in (0.0, 100.0) else found


def round_step(least: float) -> float:
    """1, 2 or 5 times a power of ten, and not less than *least*: between the marks of an axis."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(it * power for it in (1, 2, 5, 10) if it * power >= least * 0.999)
