"""Hold back Python's garbage collector where very many objects stay.

docs/performance.md says what this buys.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Iterator

#: New objects until the young ones are gone through: more than a load of 5,000 models makes.
_RARELY = (3_000_000, 20, 100)
#: The same of work that leaves much garbage with cycles, which stays in memory until then.
WITH_GARBAGE = 1_000_000


@contextlib.contextmanager
def rare_collections(young: int = 0) -> Iterator[None]:
    """Collect garbage rarely during the block: once there are *young* new objects, if said.

    A load of 5,000 models makes two million objects, and nearly all of them stay. With its usual
    thresholds the collector goes through them over and over, which takes a third of the time. It
    still has to run, because users' code and templates may leave cycles. Of several threads in such
    blocks, the first one to enter restores the thresholds.
    """
    before = gc.get_threshold()
    rarely = young or _RARELY[0]
    if not 0 < before[0] < rarely:
        yield
        return
    gc.set_threshold(rarely, *_RARELY[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


#: Whether a load has frozen the heap of this process, and whether a run has done so since.
_frozen = _frozen_by_a_run = False


@contextlib.contextmanager
def a_load(young: int = 0) -> Iterator[None]:
    """Make many objects that stay: collect garbage rarely during the block (*young* as in
    rare_collections), and let later collections pass over what is there when it ends, until the
    next load.

    A full collection of a project of 1,000 models takes 0.2 s. There are three until its run has
    begun, and the last ones of the interpreter, at its exit, take a second.
    """
    global _frozen, _frozen_by_a_run
    if _frozen:
        gc.unfreeze()  # what an earlier load made may be garbage by now
    else:
        atexit.register(_collect_for_the_last_time)
    with rare_collections(young):
        yield
        gc.freeze()  # with the usual thresholds, the collector would go through all of it at once
    _frozen, _frozen_by_a_run = True, False


def _collect_for_the_last_time() -> None:
    """Finalise what is garbage when the interpreter begins to exit, e.g. a file that is not closed
    yet, and leave the rest to the end of the process."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def frozen_heap() -> Iterator[None]:
    """Let collections during the block pass over what is there when it begins.

    After a load they do so until the next one: Python can unfreeze the whole heap only, and the
    collection at the exit of the process would go through all that was loaded. A second run after
    the same load freezes nothing, so that the garbage of many runs does not pile up.
    """
    global _frozen_by_a_run
    if _frozen_by_a_run:
        yield
        return
    gc.freeze()
    _frozen_by_a_run = _frozen
    try:
        yield
    finally:
        if not _frozen_by_a_run:
            gc.unfreeze()
