"""Memory that a process has freed, back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Return what is free at the end of the C library's heap to the system.

    glibc keeps it once a large block was freed (``M_TRIM_THRESHOLD`` in mallopt(3) grows with it).
    Other C libraries have no ``malloc_trim``, and nothing happens. Python's own small objects are
    not in that heap.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
