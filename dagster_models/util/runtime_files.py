"""This user's private folder for sockets, logs and locks, and the locks themselves."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import tempfile

from dagster_models.errors import ErrorKind, WarehouseError

#: A socket address holds 104 bytes on macOS and 108 on Linux, the closing zero included.
_ADDRESS_BYTES = 103


def digest(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def runtime_folder() -> str:
    """The private folder for sockets and logs, created if it is missing.

    Raises WarehouseError if another user owns it, as another user's socket could be in it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    name = "dagster-models"
    longest = f"/{name}/{'x' * 16}.sock"
    if not (os.path.isabs(base) and os.access(base, os.W_OK)) or (
        len(os.fsencode(base + longest)) > _ADDRESS_BYTES
    ):
        name = f"dagster-models-{os.getuid()}"
        base = tempfile.gettempdir()
        if len(os.fsencode(f"{base}/{name}/{'x' * 16}.sock")) > _ADDRESS_BYTES:
            base = "/tmp"
    return private_folder(os.path.join(base, name))


def user_secret() -> bytes:
    """Random bytes that only this user can read, the same in all processes of a runtime folder.

    Raises WarehouseError as ``runtime_folder`` does.
    """
    folder = runtime_folder()
    path = os.path.join(folder, "secret")
    while True:
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            return file.read()
        draft = os.path.join(folder, f"secret.{os.getpid()}-{os.urandom(4).hex()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(os.urandom(32))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # whole or not at all; if two processes do this, one comes first
        os.unlink(draft)


def private_folder(path: str) -> str:
    """Create the folder for this user alone, or check that it belongs to this user alone."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise WarehouseError(
            ErrorKind.IO, f"cannot make the private folder {path}: {error}", name="OSError"
        ) from error
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise WarehouseError(
            ErrorKind.NOT_PRIVATE,
            f"{path} is not a folder of this user: remove it, or have its owner do so",
        )
    if found.st_mode & 0o077:
        os.chmod(path, 0o700)
    return path


def acquire(path: str) -> int | None:
    """Lock the file at ``path`` (created if missing) and return its file descriptor.

    Returns None if another process holds the lock. The lock lasts as long as the descriptor is
    open. Raises OSError if the file cannot be created.
    """
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # If the file was removed or replaced between the two calls, we hold nothing.
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
            os.close(fd)
        except FileNotFoundError:
            os.close(fd)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return None
            raise
