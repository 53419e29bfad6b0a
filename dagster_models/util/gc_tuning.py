"""Python's collector, held back where very many objects stay."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

_RARELY = (50_000, 20, 100)


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """A load makes a million objects, and nearly all of them stay: the collector, left as it is,
    looks through them over and over and takes a third of the time.

    It still comes by, as syntax trees are circles. The longest block of several threads decides.
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
    """A run goes on beside a million objects of its definitions: the collector, left as it is,
    looks through all of them a few times, which is 5 % of the time of a thousand small steps.

    What others froze is looked through again after that, which costs no more than time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
