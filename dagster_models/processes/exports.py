"""The folders of exports: which build's files a reader finds.

    exports/orders                a link to the files of the last build that was committed
    exports/.orders.<run>.<n>/    the files of attempt n of that run, and a mark that says whose
    exports/orders.csv            a link to the one file in such a folder

A build writes its files beside the others before its COMMIT. The link is switched after it, to the
build that the last commit record names; so whoever comes after a kill in between switches it, and
two runs that end together agree. What nobody committed is removed by the next build, which has the
relation's turn, as nothing else writes files then.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import quote

from dagster_models.core.commit import Commit
from dagster_models.core.extras import Export
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError

#: In each folder of a build. Readers of Parquet and CSV leave out names that begin so.
MARK = "_dagster_models.json"


class Records(Protocol):
    """Whoever can read commit records: a session of the warehouse, or the client of one."""

    def last_proofs(self, relations: list[Relation]) -> list[Commit]: ...


def folder_of(export: Export, attempt: AttemptId) -> str:
    """The folder with the files of one attempt."""
    run = quote(attempt.run_id, safe="")
    return os.path.join(os.path.dirname(export.path), f"{_prefix(export)}{run}.{attempt.attempt}")


def refuse_others(export: Export) -> None:
    """Raise WarehouseError if what has the name of the export was not made by this model."""
    if not os.path.lexists(export.path):
        return
    whose = _owner(_current(export))
    dangling = os.path.islink(export.path) and not os.path.exists(export.path)
    if whose == export.owner or (dangling and os.readlink(export.path).startswith(_prefix(export))):
        return
    made = f"was made by {whose}" if whose else "was not made by an export"
    raise WarehouseError(
        ErrorKind.NOT_KEPT,
        f"export: {export.path} {made}, and would be replaced by the files of {export.owner}."
        " Nothing was changed: move it away, or give the export another `path` ($target in it"
        " stands for the name of the target)",
        name="ForeignFolder",
    )


@contextlib.contextmanager
def new_folder(export: Export, attempt: AttemptId, part: int) -> Iterator[str]:
    """Make the folder of an attempt, which is removed if the block fails. ``part`` is that of the
    commit record that is written along with the files."""
    folder = folder_of(export, attempt)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    discard(export, attempt)  # of an earlier try of the same attempt
    os.mkdir(folder)
    try:
        with open(os.path.join(folder, MARK), "x", encoding="utf-8") as file:
            json.dump({"owner": export.owner, "attempt": list(attempt), "part": part}, file)
        yield folder
        for path, folders, files in os.walk(folder):
            for name in (*folders, *files):
                _sync(os.path.join(path, name))
        _sync(folder)
        _sync(os.path.dirname(folder))
    except BaseException:
        discard(export, attempt)
        raise


def discard(export: Export, attempt: AttemptId) -> None:
    """Remove the folder of an attempt that will not be committed."""
    shutil.rmtree(folder_of(export, attempt), ignore_errors=True)


def sweep(export: Export, is_committed: Callable[[AttemptId, int], bool]) -> None:
    """Remove the folders of attempts that were not committed. Nothing else may be writing one."""
    current = _current(export)
    for folder in _folders(export):
        if folder != current and not is_committed(*_attempt(folder)):
            shutil.rmtree(folder, ignore_errors=True)


def settle(records: Records, relation: Relation, export: Export) -> str:
    """Let the export be the files of the last build that was committed, if they are there, and
    remove old ones. Return why that was not possible, "" if it was.

    Raises WarehouseError if the records cannot be read.
    """
    try:
        _settle(records, relation, export)
    except OSError as error:
        return str(error)
    except WarehouseError as error:
        if error.kind is not ErrorKind.NOT_KEPT:
            raise
        return error.message
    return ""


def _settle(records: Records, relation: Relation, export: Export) -> None:
    parent = os.path.dirname(export.path)
    if not os.path.isdir(parent):
        return
    with _locked(parent):
        proofs = records.last_proofs([relation])
        last = max(proofs, key=lambda commit: commit.committed_at, default=None)
        folder = folder_of(export, last.id) if last is not None else ""
        whole = last is not None and last.part >= _attempt(folder)[1]
        if whole and _owner(folder) == export.owner and not _is_shown(export, folder):
            refuse_others(export)
            _switch(export, folder)
        _prune(export)


def _is_shown(export: Export, folder: str) -> bool:
    """Whether the link leads to what a reader is to find in the folder, or nothing is there: as a
    build wrote it when the path was a folder of files in another format."""
    if not os.path.exists(os.path.join(folder, export.file)):
        return True
    return os.path.islink(export.path) and os.readlink(export.path) == _shown(export, folder)


def _shown(export: Export, folder: str) -> str:
    """Where the link to a build leads."""
    name = os.path.basename(folder)
    return os.path.join(name, export.file) if export.file else name


def _switch(export: Export, folder: str) -> None:
    draft = f"{folder}.link"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft)
    os.symlink(_shown(export, folder), draft)
    os.replace(draft, export.path)
    _sync(os.path.dirname(export.path))


def _prune(export: Export) -> None:
    """Keep the last ones. Those that are newer than the current one are still being written."""
    current = _current(export)
    if not current:
        return
    made = _made_at(current)
    older = [it for it in _folders(export) if it != current and _made_at(it) <= made]
    for folder in sorted(older, key=_made_at, reverse=True)[export.keep - 1 :]:
        shutil.rmtree(folder, ignore_errors=True)
    for name in os.listdir(os.path.dirname(export.path)):  # of a kill between two calls
        if name.startswith(_prefix(export)) and name.endswith(".link"):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(os.path.dirname(export.path), name))


def _prefix(export: Export) -> str:
    return f".{os.path.basename(export.path)}."


def _folders(export: Export) -> list[str]:
    """The folders of the export's builds, and not those of a path that begins as its own does. One
    without a whole mark, and with nothing else, is that of a build that was killed as it began."""
    parent = os.path.dirname(export.path)
    names = [name for name in os.listdir(parent) if name.startswith(_prefix(export))]
    paths = [os.path.join(parent, name) for name in names]
    whole = [it for it in paths if os.path.isdir(it) and not os.path.islink(it)]
    return [it for it in whole if _is_of(export, it) or _was_begun(it)]


def _is_of(export: Export, folder: str) -> bool:
    return _owner(folder) == export.owner and folder == folder_of(export, _attempt(folder)[0])


def _was_begun(folder: str) -> bool:
    return _owner(folder) is None and {MARK}.issuperset(os.listdir(folder))


def _current(export: Export) -> str:
    """The folder that the link leads to, or to a file in it; "" if there is none."""
    if not os.path.islink(export.path):
        return ""
    linked = os.path.join(os.path.dirname(export.path), os.readlink(export.path))
    folder, name = os.path.split(linked)
    return folder if name == export.file else linked


def _mark(folder: str) -> dict[str, object]:
    try:
        with open(os.path.join(folder, MARK), encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def _owner(folder: str) -> str | None:
    owner = _mark(folder).get("owner")
    return owner if isinstance(owner, str) else None


def _attempt(folder: str) -> tuple[AttemptId, int]:
    """The attempt that wrote the files, and the part of the commit record that proves it."""
    mark = _mark(folder)
    found, part = mark.get("attempt"), mark.get("part")
    attempt = AttemptId(*found) if isinstance(found, list) else AttemptId("", "", 0)
    return attempt, part if isinstance(part, int) else 0


def _made_at(folder: str) -> int:
    with contextlib.suppress(OSError):
        return os.stat(os.path.join(folder, MARK)).st_mtime_ns
    return 0


def _sync(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """One at a time switches links in the folder."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
