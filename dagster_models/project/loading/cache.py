"""What was found out before, in a file: key -> value, made of plain values.

A key is a hash of all that decides the value, and the file bears a stamp of the code that found
the values out, so an entry is right or is not found. The file is replaced in one rename: of two
writers at once the later one's stays. What a lost, damaged or unreadable file costs is time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import pickle
import secrets
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

#: What an entry rests on beside its key: the code that reads SQL, and who writes the entries.
_PACKAGES = ("dagster-models", "sqlglot", "sqlglotc")
_ROOMS = ("errors.py", "util", "core", "sql", "project")
_PACKAGE = Path(__file__).parents[2]
_DIGEST_BYTES = 16


class Cache:
    """Entries of *file*, read when the first is asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, bytes] | None = None
        self._used: dict[str, bytes] = {}
        self._new = False

    def get(self, key: str) -> Any:
        """The value of *key*, None if it is not known or is no plain value."""
        if self._known is None:
            self._known = dict(read_entries(self.file))
        entry = self._known.get(key)
        if entry is None:
            return None
        try:
            value = decode(entry)
        except Exception:  # whatever a damaged entry makes of the unpickler
            return None
        self._used[key] = entry
        return value

    def put(self, key: str, entry: bytes) -> None:
        """*entry*: the value as ``encode`` gives it."""
        self._used[key] = entry
        self._new = True

    def save(self) -> None:
        """Keep what was used, and of the rest at most as much again, what was used last first:
        another branch comes back, and a load of another kind asks for something else."""
        if self._new:
            rest = [item for item in (self._known or {}).items() if item[0] not in self._used]
            kept = dict(rest[: len(self._used)])
            write_entries(self.file, {**self._used, **kept})
            self._new = False


def encode(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)


def decode(entry: bytes) -> Any:
    """Raises anything if *entry* is no plain value."""
    return _Plain(io.BytesIO(entry)).load()


class _Plain(pickle.Unpickler):
    """Makes nothing but tuples, texts and numbers: a file must not be able to run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


# --- the file --------------------------------------------------------------------------------


@cache
def stamp() -> str:
    """What all entries rest on."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            digest.update(f"{package} {version(package)}\n".encode())
    for room in (_PACKAGE / name for name in _ROOMS):
        for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_entries(file: Path) -> Mapping[str, bytes]:
    """The entries of *file*; none where there is no file, or none that this code wrote whole."""
    try:
        data = file.read_bytes()
        if _digest(data[_DIGEST_BYTES:]) == data[:_DIGEST_BYTES]:
            found, entries = decode(data[_DIGEST_BYTES:])
            if found == stamp():
                return dict(entries)
    except Exception:  # it is only a cache
        pass
    return {}


def _digest(data: bytes) -> bytes:
    """A disk that was full or lost its power leaves files with holes in them."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def write_entries(file: Path, entries: Mapping[str, bytes]) -> None:
    """Replace the file as a whole. Where it cannot be written the next load takes its time."""
    data = encode((stamp(), dict(entries)))
    with contextlib.suppress(OSError):
        if not file.parent.is_dir():
            file.parent.mkdir()
            # What is made of a project is no part of it, and `git add -A` is typed quickly.
            (file.parent / ".gitignore").write_text("*\n")
        _remove_leftovers(file)
        with _temporary(file) as new:
            new.write(_digest(data) + data)
            new.flush()
            os.replace(new.name, file)


@contextlib.contextmanager
def _temporary(file: Path) -> Iterator[Any]:
    """A new file beside *file*, locked while its maker lives; removed if it comes to nothing."""
    name = f"{file}.{secrets.token_hex(8)}"
    with open(name, "xb") as new:
        try:
            fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield new
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def _remove_leftovers(file: Path) -> None:
    """Temporary files of writers that were killed: those that nobody holds a lock on.

    A writer that has not locked its file yet may lose it: its rename fails, which costs time.
    """
    for path in file.parent.glob(f"{file.name}?*"):
        with contextlib.suppress(OSError), open(path, "rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
