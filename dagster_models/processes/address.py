"""Where the processes that share a database find each other, and their bulk files.

<db>.lock                  beside the database; flock'ed by its warehouse process for life, and
                           holds its address: clients with another TMPDIR find it too
<runtime>/<server>.lock    the same for a database server
<runtime>/<hash>.sock      its socket, in a private folder; a hash, as socket addresses are short
<runtime>/<hash>.log       its stderr
<runtime>/<hash>.start     flock'ed by the one client that starts it
<bulk>/<token>/<session>/  Arrow files, in shared memory if there is any, else in the temp folder
<bulk>/<token>.alive       flock'ed by the process that owns the folder: says it is not a leftover
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util import dsn as servers
from dagster_models.util.runtime_files import acquire, private_folder, runtime_folder

#: Raised when frames change: processes of different versions refuse each other by name.
PROTOCOL = 3


def key_of(address: WarehouseAddress) -> str:
    """The path that identifies a warehouse everywhere: the real one of its database file; for a
    server a name in the runtime folder. The lock file has this path and ".lock".

    Raises WarehouseError where there is none.
    """
    settings, type_ = address.settings, address.type
    if not type_.file_setting:
        # Sessions of two processes do not hurt each other there: it need not lie at one place.
        return os.path.join(runtime_folder(), servers.file_name(type_.name, settings))
    path = settings.get(type_.file_setting)
    if not path or str(path).startswith((":memory:", "md:")):
        raise WarehouseError(
            ErrorKind.INVALID_SETTINGS,
            f"{type_.file_setting}: {path!r} is not a file: give the path of a database file, which"
            " the processes of a run can share",
        )
    return os.path.realpath(str(path))


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a warehouse process listens, and how to tell whether it still lives."""

    socket: str
    pid: int
    host: str = ""
    log: str = ""


def publish_listener(fd: int, listener: Listener) -> None:
    """Write where the holder of the lock listens into its lock file."""
    text = json.dumps(asdict(listener)).encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


def read_listener(path: str) -> Listener | None:
    """What the last holder of a warehouse's lock wrote; None while there is nothing to read."""
    try:
        with open(path + ".lock", encoding="utf-8") as file:
            return Listener(**json.load(file))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


# Bulk files --------------------------------------------------------------------------------------


def bulk_bases() -> list[str]:
    """The places for bulk files, the best first; private and there."""
    bases = []
    for parent in ("/dev/shm", tempfile.gettempdir()):
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
            _remove_leftovers(base)
            fd = acquire(os.path.join(base, f"{token}.alive"))
            if fd is not None:
                self._alive.append(fd)
                os.mkdir(os.path.join(base, token), 0o700)
                self._roots.append(os.path.join(base, token))

    def make(self, session: str) -> list[str]:
        """The folders of one session, the best first."""
        folders = [os.path.join(root, session) for root in self._roots]
        for folder in folders:
            os.mkdir(folder, 0o700)
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
