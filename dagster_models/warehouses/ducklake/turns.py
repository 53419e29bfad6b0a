"""Turns of those who write to a lake whose catalog is a SQLite file.

Measured (1.5.5): of two transactions in such a catalog that overlap, the one that commits last
always fails ("database is locked"), whatever it has written. So whoever is going to write waits
until the other one is through, be it in this process or in another one.
"""

from __future__ import annotations

import os
import threading

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import runtime_files

_RETRY_SECONDS = 0.02


class Turn:
    """The turn of one session. ``path``: the catalog's file; "" for a catalog that needs none."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}.turn" if path else ""
        self._lock: int | None = None
        self._interrupted = threading.Event()

    @property
    def is_needed(self) -> bool:
        return bool(self._path)

    def take(self) -> None:
        """Wait for the turn, for as long as the others take. Harmless for one who has it.

        Raises WarehouseError of kind INTERRUPTED.
        """
        if not self._path or self._lock is not None:
            return
        self._interrupted.clear()
        while (lock := runtime_files.acquire(self._path)) is None:
            if self._interrupted.wait(_RETRY_SECONDS):
                what = "stopped while it waited for another writer of the lake's SQLite catalog"
                raise WarehouseError(ErrorKind.INTERRUPTED, what)
        self._lock = lock

    def interrupt(self) -> None:
        """Let ``take`` raise, if it waits. May be called from another thread."""
        self._interrupted.set()

    def give(self) -> None:
        """Let the next one write. Harmless for one who has no turn."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
