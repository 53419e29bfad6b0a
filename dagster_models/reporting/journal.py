"""The journal of a run: ``target/runs/<run id>.jsonl``, one line per finished step.

It is appended to while the run goes on and never rewritten, so that a killed run leaves a record of
what it did. (dbt once rewrote its results after each node; that was too slow and was reverted.) ::

    {"type": "run", ...}    RunHeader
    {"type": "step", ...}   StepResult, one line each, in the order they finished
    {"type": "end", ...}    RunEnd
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_models.core.model import KeepRuns
from dagster_models.errors import DagsterModelsError
from dagster_models.reporting.results import RunHeader, StepResult, known_fields, totals

_WHATEVER_THEIR_AGE = 10  #: the number of journals that are not too old to be kept


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The last line of a journal; without it the run still goes on, or it died."""

    status: str  #: "success", "failure" or "canceled"
    totals: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True)
class JournalContents:
    """A journal as read. ``steps``: the last line of each step, in the order they finished.

    ``unreadable``: the numbers (from 1) of lines that were cut. A killed run cuts its last line,
    and a resumed run goes on below it.
    """

    header: RunHeader | None
    steps: tuple[StepResult, ...]
    end: RunEnd | None
    unreadable: tuple[int, ...] = ()


class Journal:
    """Appends to ``<target folder>/runs/<run id>.jsonl`` with one write call for each line.

    The operating system has a line as soon as the method returns, so it outlives a kill of this
    process. The file is locked while it is open, so that no other run removes it. Any method may
    raise OSError (a full disk); the journal stays usable after that.
    """

    def __init__(self, target_folder: str | Path, header: RunHeader) -> None:
        """Create the folder and the file, or go on below what an earlier run of this id left."""
        self.path = journal_path(target_folder, header.run_id)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            with contextlib.suppress(OSError):  # e.g. a file system without locks
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(self._fd).st_size
            self._cut = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"
            self._append("run", header.to_json())
        except BaseException:
            self.close()
            raise

    def step(self, result: StepResult) -> None:
        """Append a finished step."""
        self._append("step", result.to_json())

    def end(self, status: str, results: Iterable[StepResult], seconds: float) -> None:
        """Append the run's end; ``status`` is "success", "failure" or "canceled"."""
        self._append("end", {"status": status, "totals": totals(results), "seconds": seconds})

    def is_removed(self) -> bool:
        """Whether the file was removed, so that nobody will find what is appended."""
        try:
            return not os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Close the file; harmless if it is closed already."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, what: str, data: Mapping[str, Any]) -> None:
        # ASCII: a lone surrogate in a message cannot be encoded, and must not cost the line.
        line = json.dumps({"type": what, **data}, default=str).encode("ascii") + b"\n"
        if self._cut:  # the line above was cut: begin a new one
            line = b"\n" + line
        self._cut = True
        written = os.write(self._fd, line)
        while written < len(line):  # only a disk that fills up leads here
            written += os.write(self._fd, line[written:])
        self._cut = False


def journal_path(target_folder: str | Path, run_id: str) -> Path:
    """The path of a run's journal.

    Raises:
        DagsterModelsError: the run's id is not usable as a file name.
    """
    if not re.fullmatch(r"[\w][\w.-]*", run_id, re.ASCII):
        raise DagsterModelsError(f"run id {run_id!r} is not usable as a file name")
    return Path(target_folder) / "runs" / f"{run_id}.jsonl"


def prune_journals(latest: Path, keep: KeepRuns) -> None:
    """Remove journals beside *latest* that are not to be kept, unless their runs still go on.

    A few stay whatever their age: of a project that runs once a month, and when the clock is wrong.

    Raises:
        OSError: the folder cannot be read.
    """
    ended = []
    for path in latest.parent.glob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError):  # another run has just removed it
            ended.append((path.stat().st_mtime, path))
    oldest = time.time() - keep.seconds
    for newer, (written, path) in enumerate(sorted(ended, reverse=True)):
        unwanted = newer >= keep.number or (newer >= _WHATEVER_THEIR_AGE and written < oldest)
        if unwanted and path != latest:
            _remove_unless_open(path)


def _remove_unless_open(path: Path) -> None:
    with contextlib.suppress(OSError), open(path, "rb") as file:  # it may belong to another user
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def is_abandoned(target_folder: str | Path, run_id: str) -> bool:
    """Whether nobody executes a run any more, although it has not ended: its process was killed.

    A process locks the journal of its run while it lives. False where that proves nothing: there is
    no journal, it is of another machine, or it has the run's end, after which it is not locked.
    """
    path = journal_path(target_folder, run_id)
    try:
        header = read_journal(path).header  # written below the lock, which is not taken before it
        if header is None or header.host != this_host():
            return False
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return read_journal(path).end is None
    except OSError:
        return False


def is_open(journal: Path) -> bool:
    """Whether a process of this machine writes to a journal.

    Raises:
        OSError: it cannot be read.
    """
    with open(journal, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def this_host() -> str:
    return socket.gethostname()


def journals(target_folder: str | Path) -> list[Path]:
    """All journals, the one that was written to last first."""
    written = []
    for path in (Path(target_folder) / "runs").glob("*.jsonl"):
        with contextlib.suppress(OSError):  # another run has just removed it
            written.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(written, reverse=True)]


def latest_journal(target_folder: str | Path) -> Path | None:
    """The journal that was written to last; None if there is none."""
    return next(iter(journals(target_folder)), None)


def last_run_on(target_folder: str | Path, target: str) -> JournalContents | None:
    """The last run on a target that has done something, or that died before it could; None if there
    is none. A run that could not begin leaves nothing but its end."""
    for path in journals(target_folder):
        with contextlib.suppress(OSError):  # another run has just removed it
            found = read_journal(path)
            is_there = found.header is not None and found.header.target == target
            if is_there and (found.steps or found.end is None):
                return found
    return None


def find_journal(target_folder: str | Path, run_id: str = "last") -> Path:
    """The journal of a run, found by its id or the beginning of it; "last": the latest.

    Raises:
        DagsterModelsError: no journal matches, or several do.
    """
    runs = Path(target_folder) / "runs"
    if run_id == "last":
        latest = latest_journal(target_folder)
        if latest is None:
            raise DagsterModelsError(f"no run has left a journal in {runs}")
        return latest
    found = sorted(path for path in runs.glob("*.jsonl") if path.stem.startswith(run_id))
    exact = [path for path in found if path.stem == run_id]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        raise DagsterModelsError(f"no run whose id begins with {run_id!r} has a journal in {runs}")
    ids = ", ".join(path.stem for path in found)
    raise DagsterModelsError(f"several run ids begin with {run_id!r}: {ids}")


def read_journal(path: str | Path) -> JournalContents:
    """Read a journal, finished or not; a line that was cut costs only itself.

    Raises:
        OSError: the file cannot be read.
    """
    header: RunHeader | None = None
    end: RunEnd | None = None
    steps: dict[str, StepResult] = {}
    unreadable: list[int] = []
    for number, line in enumerate(Path(path).read_bytes().split(b"\n"), start=1):
        if not line:
            continue
        try:
            data = json.loads(line)
            if data["type"] == "run":  # a resumed run writes a second header, and has not ended
                header = RunHeader.from_json(data)
                end = None
            elif data["type"] == "step":
                result = StepResult.from_json(data)
                steps.pop(result.step, None)
                steps[result.step] = result
            elif data["type"] == "end":
                end = known_fields(RunEnd, data)
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable.append(number)
    return JournalContents(header, tuple(steps.values()), end, tuple(unreadable))
