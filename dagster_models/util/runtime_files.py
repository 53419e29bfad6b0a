"""This user's private folder for sockets, logs and locks, and the locks themselves."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.users import user_name

#: A socket address holds 104 bytes on macOS and 108 on Linux, the closing zero included.
_ADDRESS_BYTES = 103


def digest(path: str) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def temp_folder() -> str:
    """The folder for temporary files, as ``tempfile`` finds it, but the same for all processes.

    ``tempfile`` goes on to other folders, and at last to the current one, where one is full.
    """
    given = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    return next((os.path.abspath(path) for path in given if path and os.path.isdir(path)), "/tmp")


def no_room(folder: str, error: OSError) -> WarehouseError:
    """The error of a folder in which this user cannot write, with what to do about it."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    name = "XDG_RUNTIME_DIR" if base and folder.startswith(base) else "TMPDIR"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = f"Free space there, or set {name} to a folder with room"
    else:
        advice = f"Make it writable (in Kubernetes, mount an emptyDir at /tmp), or set {name}"
    return WarehouseError(
        ErrorKind.IO,
        f"user {user_name()} cannot write in the folder {folder}: {error}. {advice}: to the same"
        " folder for all processes that share a database",
        name=type(error).__name__,
    )


def runtime_folder() -> str:
    """The private folder for sockets and logs, created if it is missing.

    Raises WarehouseError if another user owns it, as another user's socket could be in it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    name = "dagster-models"
    longest = f"/{name}/{'x' * 16}.sock"
    is_ours = os.path.isabs(base) and os.path.isdir(base) and os.access(base, os.W_OK)
    if not is_ours or (len(os.fsencode(base + longest)) > _ADDRESS_BYTES):
        name = f"dagster-models-{os.getuid()}"
        base = temp_folder()
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
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(os.urandom(32))
        except OSError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft)
            raise no_room(folder, error) from error
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
        raise no_room(os.path.dirname(path), error) from error
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise WarehouseError(
            ErrorKind.NOT_PRIVATE,
            f"{path} is not a folder of this user, {user_name()}, but belongs to"
            f" {user_name(found.st_uid)}: remove it or have its owner do so, or set TMPDIR or"
            " XDG_RUNTIME_DIR to a folder of your own",
        )
    if found.st_mode & 0o077:
        os.chmod(path, 0o700)
    return path


def acquire(path: str) -> int | None:
    """Lock the file at ``path`` (created if missing) and return its file descriptor.

    Returns None if another process holds the lock. The lock lasts as long as the descriptor is
    open. Raises OSError if the file cannot be created or opened.
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
