"""Arrow IPC files, in which bulk data crosses between processes.

They are files and not streams because a truncated stream is taken for a complete one, while a
truncated file does not open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.util.runtime_files import no_room, temp_folder

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write(folders: Sequence[str], schema: Any, batches: Iterable[Any]) -> tuple[str, int]:
    """Write record batches of a pyarrow schema to a new file; return its path and its row count.

    ``folders`` are the places where it may lie, best first. The file moves on to the next one when
    its folder is full (in a container, shared memory is often 64 MB). If anything fails, the file
    is removed. Raises WarehouseError if no folder has room.
    """
    import pyarrow as pa

    if not folders:
        missing = OSError(errno.ENOENT, "neither shared memory nor a folder for temporary files")
        raise no_room(temp_folder(), missing)
    try:
        sink = _Sink(folders)
    except OSError as error:
        raise no_room(folders[-1], error) from error
    try:
        rows = 0
        with pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        sink.close()
    except BaseException as error:
        sink.discard()
        if isinstance(error, OSError) and error.errno in _FULL:
            raise no_room(os.path.dirname(sink.path), error) from error
        raise
    return sink.path, rows


def lasting_folders(folders: Sequence[str]) -> list[str]:
    """The folders for files that outlive the session to which *folders* belong, those on disk
    first: each folder of a session lies in one of its warehouse process, which deletes what is left
    there when it ends."""
    return [os.path.dirname(folder) for folder in reversed(folders)]


@contextlib.contextmanager
def removed_on_error(path: str) -> Iterator[None]:
    """Delete the file if the block raises."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise


def read(path: str) -> Any:
    """The file as a pyarrow Table that uses the mapped file itself, without a copy.

    The file may be unlinked at once; its memory is freed with the table.
    """
    import pyarrow as pa

    with pa.memory_map(path) as source:
        return pa.ipc.open_file(source).read_all()


@contextlib.contextmanager
def mapped(path: str) -> Iterator[Any]:
    """The file as a pyarrow Table, as long as the block lasts. Raises WarehouseError as ``batches``
    does."""
    import pyarrow as pa

    with batches(path) as (schema, found):
        yield pa.Table.from_batches(found, schema)


@contextlib.contextmanager
def batches(path: str) -> Iterator[tuple[Any, Iterator[Any]]]:
    """The schema and the record batches of the file, one at a time.

    Raises WarehouseError if the file does not open, for example because it is truncated.
    """
    import pyarrow as pa

    with contextlib.ExitStack() as stack:
        try:
            source = stack.enter_context(pa.memory_map(path))
            file = pa.ipc.open_file(source)
        except (OSError, pa.ArrowException) as error:
            raise WarehouseError(ErrorKind.IO, str(error), name=type(error).__name__) from error
        yield file.schema, (file.get_batch(at) for at in range(file.num_record_batches))


class _Sink:
    """A file that moves to the next folder when the one it lies in is full."""

    closed = False

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = list(folders)
        self._name = f"{os.urandom(8).hex()}.arrow"
        self._open()

    def _open(self) -> None:
        """Make the file in the next folder that takes it."""
        while True:
            self.path = os.path.join(self._folders.pop(0), self._name)
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o600)
                return
            except OSError as error:
                if error.errno not in _FULL or not self._folders:
                    raise

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            try:
                done += os.write(self._fd, view[done:])
            except OSError as error:
                if error.errno not in _FULL or not self._folders:
                    raise
                self._move()
        return done

    def _move(self) -> None:
        full_path, full = self.path, self._fd
        self._open()
        try:
            os.lseek(full, 0, os.SEEK_SET)
            with open(full, "rb", closefd=False) as old, open(self._fd, "wb", closefd=False) as new:
                shutil.copyfileobj(old, new, 1 << 20)
        finally:
            os.close(full)
            os.unlink(full_path)

    def flush(self) -> None:
        """Do nothing: each write has gone to the file already."""

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            os.close(self._fd)

    def discard(self) -> None:
        self.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
