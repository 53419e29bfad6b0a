"""The folders of one warehouse process for bulk data.

<bulk>/<token>/<session>/  Arrow files, in shared memory if there is any, else in the temp folder
<bulk>/<token>.alive       flock'ed by the process that owns the folder: it is not a leftover
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable

from dagster_models.errors import WarehouseError
from dagster_models.util.runtime_files import acquire, private_folder, temp_folder


def bulk_bases() -> list[str]:
    """The places for bulk files, the best first; private and there."""
    bases = []
    for parent in ("/dev/shm", temp_folder()):
        if os.path.isdir(parent) and os.access(parent, os.W_OK):
            with contextlib.suppress(WarehouseError, OSError):
                bases.append(
                    private_folder(os.path.join(parent, f"dagster-models-bulk-{os.getuid()}"))
                )
    return bases


class BulkFolders:
    """The bulk folders of one warehouse process: one tree per base, gone when it ends."""

    def __init__(self, bases: Iterable[str] | None = None) -> None:
        token = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._roots: list[str] = []
        self._alive: list[int] = []
        for base in bulk_bases() if bases is None else bases:
            with contextlib.suppress(OSError):  # it is full: there may be another one
                self._add(base, token)

    def _add(self, base: str, token: str) -> None:
        _remove_leftovers(base)
        fd = acquire(os.path.join(base, f"{token}.alive"))
        if fd is None:
            return
        try:
            os.mkdir(os.path.join(base, token), 0o700)
        except OSError:
            os.close(fd)
            raise
        self._alive.append(fd)
        self._roots.append(os.path.join(base, token))

    def make(self, session: str) -> list[str]:
        """The folders of one session, the best first."""
        folders = []
        for folder in (os.path.join(root, session) for root in self._roots):
            with contextlib.suppress(OSError):  # it is full by now
                os.mkdir(folder, 0o700)
                folders.append(folder)
        return folders

    def remove(self, session: str) -> None:
        for root in self._roots:
            shutil.rmtree(os.path.join(root, session), ignore_errors=True)

    def close(self) -> None:
        for root, fd in zip(self._roots, self._alive, strict=True):
            shutil.rmtree(root, ignore_errors=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{root}.alive")
            os.close(fd)
        self._roots, self._alive = [], []


def _remove_leftovers(base: str) -> None:
    """Folders of processes that were killed: nobody holds their .alive file any more."""
    for name in os.listdir(base):
        token, extension = os.path.splitext(name)
        if extension != ".alive":
            continue
        with contextlib.suppress(OSError):
            fd = acquire(os.path.join(base, name))
            if fd is not None:
                shutil.rmtree(os.path.join(base, token), ignore_errors=True)
                os.unlink(os.path.join(base, name))
                os.close(fd)
