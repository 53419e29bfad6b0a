"""A cache in a file: key -> value, made of plain values.

A key is a hash of everything that the value depends on, and the file is stamped with a digest of
the code that makes the values, so an entry is either right or not found. The file is replaced in
one rename, so the later of two writers wins. A lost, damaged or unreadable file only costs time.
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
from pathlib import Path
from typing import Any

#: What an entry depends on besides its key: the code that reads SQL and writes the entries.
_PACKAGES = ("dagster-models", "sqlglot", "sqlglotc")
_ROOMS = ("errors.py", "util", "core", "sql", "project")
_PACKAGE = Path(__file__).parents[2]
_DIGEST_BYTES = 16


class Cache:
    """The entries of *file*, read when the first one is asked for."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, bytes] | None = None
        self._used: dict[str, bytes] = {}
        self._new = False

    def get(self, key: str) -> Any:
        """The value of *key*; None if there is no entry, or its entry is damaged."""
        if self._known is None:
            self._known = dict(read_entries(self.file))
        entry = self._known.get(key)
        if entry is None:
            return None
        try:
            value = decode(entry)
        except Exception:  # the unpickler may raise any exception for a damaged entry
            return None
        self._used[key] = entry
        return value

    def put(self, key: str, entry: bytes) -> None:
        """Remember a value, encoded by ``encode``."""
        self._used[key] = entry
        self._new = True

    def save(self) -> None:
        """Keep the entries that were used, and at most as many others, most recently used first:
        people switch back to another branch, and another kind of load needs other entries."""
        if self._new:
            rest = [item for item in (self._known or {}).items() if item[0] not in self._used]
            kept = dict(rest[: len(self._used)])
            write_entries(self.file, {**self._used, **kept})
            self._new = False


def encode(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)


def decode(entry: bytes) -> Any:
    """The value of an entry. May raise any exception if it is not a plain value."""
    return _Plain(io.BytesIO(entry)).load()


class _Plain(pickle.Unpickler):
    """Builds nothing but tuples, strings and numbers, so that a file cannot run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not a plain value")


# --- the file --------------------------------------------------------------------------------


@cache
def stamp() -> str:
    """A digest of all the code that entries depend on."""
    from importlib.metadata import PackageNotFoundError, version  # 15 ms, and few loads ask for it

    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for package in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            digest.update(f"{package} {version(package)}\n".encode())
    for room in (_PACKAGE / name for name in _ROOMS):
        for path in sorted(room.rglob("*.py")) if room.is_dir() else [room]:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def read_entries(file: Path) -> Mapping[str, bytes]:
    """The entries of *file*; none if it is missing or damaged, or if other code has written it."""
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
    """The checksum of the file, because a full disk or a power cut can leave files with holes."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def write_entries(file: Path, entries: Mapping[str, bytes]) -> None:
    """Replace the file as a whole. If that fails, the next load only takes longer."""
    data = encode((stamp(), dict(entries)))
    with contextlib.suppress(OSError):
        if not file.parent.is_dir():
            file.parent.mkdir(parents=True)
            # A cache is not part of the project, and a quick `git add -A` must not commit it.
            (file.parent / ".gitignore").write_text("*\n")
        _remove_leftovers(file)
        with _temporary(file) as new:
            new.write(_digest(data) + data)
            new.flush()
            os.replace(new.name, file)


@contextlib.contextmanager
def _temporary(file: Path) -> Iterator[Any]:
    """A new file beside *file*, locked while its writer lives, and removed if the writer fails."""
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
    """Remove the temporary files of writers that were killed: nobody holds a lock on them.

    A writer that has not locked its file yet may lose it. Then its rename fails, and the next load
    takes longer.
    """
    for path in file.parent.glob(f"{file.name}?*"):
        with contextlib.suppress(OSError), open(path, "rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
