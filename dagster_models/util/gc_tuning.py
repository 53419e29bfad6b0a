"""Python's garbage collector, held back where a great many objects stay alive."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_RARELY = (50_000, 20, 100)


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Run the collector rarely inside the block.

    A load makes a million objects and keeps nearly all of them. With its default thresholds the
    collector walks through them again and again, which takes a third of the time. It still has to
    run, as syntax trees contain reference cycles. Where blocks of several threads overlap, the end
    of the first one restores the thresholds.
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


@contextlib.contextmanager
def what_is_there_stays() -> Iterator[None]:
    """Exempt all objects that exist at the start of the block from collection until its end.

    A run goes on beside a million objects of its definitions. Otherwise the collector walks
    through all of them a few times, which is 5 % of the time of a thousand small steps.

    Objects that other code had frozen are collected again afterwards, which costs only time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
