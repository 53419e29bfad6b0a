"""Hold back Python's garbage collector where very many objects stay.

docs/performance.md says what this buys.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_RARELY = (50_000, 20, 100)


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage rarely during the block.

    A load makes a million objects, and nearly all of them stay. With its usual thresholds the
    collector goes through them over and over, which takes a third of the time. It still has to run,
    because syntax trees contain cycles. Of several threads in such blocks, the first one to enter
    restores the thresholds.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < _RARELY[0]:
        yield
        return
    gc.set_threshold(*_RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*before)
