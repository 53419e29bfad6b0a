"""Parses or traces many texts of SQL on all cores, in other processes and perhaps in this one.

A job ("parse", "trace" or "both") makes the cache entries of one item. Each process that has room
takes the next few items, so that nothing waits for a process that is starting (0.3 s) or has the
longest texts. It has the next batch before it has answered one, as the loader is busy with an item
of its own when the answer comes. Items that a process does not answer, because it died or never
started, are done here.

This process takes part if it has imported sqlglot already. If not, it stays without it: sqlglot
takes 33 MiB, a run worker keeps them until its end, and its import takes as long as a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from dagster_models.errors import WarehouseError
from dagster_models.project.loading.parser_process import ANSWER, JOBS, SIZE_BYTES
from dagster_models.util.runtime_files import runtime_folder

#: At least this many items for each new process. Fewer would be done before it has started (0.3 s
#: of one core): parsing a text takes 1 to 2 ms, and tracing it takes 4 ms.
ITEMS_PER_NEW_PROCESS = {"parse": 250, "trace": 100, "both": 80}
#: The smallest batch: fewer items are done here sooner than they could be sent.
LEAST_ITEMS = 4
#: The largest batch: a larger one would only be answered later.
MOST_ITEMS = 64
#: Batches that one process has at a time: it works on the first.
MOST_BATCHES = 2
#: How long a process without sqlglot waits until the first of the others has started. A program
#: that embeds Python may be its own `sys.executable`, and what is started then never answers.
START_SECONDS = 20.0
#: Size of a pipe to or from a process, where the system allows it: a batch fits in, and nobody
#: waits until the other side reads it.
_PIPE_BYTES = 1 << 20


class ParserPool:
    """The parser processes of one load. They start when it is worth it, and end with the ``with``
    block."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []
        #: A process that has started -> the batches that it has not answered yet.
        self._sent: dict[subprocess.Popen[bytes], deque[list[int]]] = {}
        self._answers = selectors.DefaultSelector()

    def __enter__(self) -> ParserPool:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in list(self._workers):
            self._end(worker)
        self._answers.close()

    def map(self, job: str, items: Sequence[Any]) -> list[Any]:
        """The entry of each item, in order."""
        results: list[Any] = [None] * len(items)
        for place, entry in self.each(job, items):
            results[place] = entry
        return results

    def each(
        self,
        job: str,
        items: Sequence[Any],
        todo: deque[int] | None = None,
        expected: int = 0,
    ) -> Iterator[tuple[int, Any]]:
        """Yield the index and the entry of each item, as they are completed. The processes go on
        working while the caller uses an entry, and may add items and, to *todo*, their indexes.
        *expected*: so many items will be added in all."""
        self.start(job, max(len(items), expected))
        todo = deque(range(len(items))) if todo is None else todo
        found = deque[tuple[int, Any]]()
        try:
            while todo or found or any(self._sent.values()):
                busy = self.with_room(len(todo)) is None and not (todo and self._works_here())
                for worker in self._readable(wait=busy and not found):
                    batches = self._sent.setdefault(worker, deque())
                    batch = batches.popleft() if batches else []
                    answer = _answer(worker, len(batch))
                    if answer is None:
                        todo.extendleft(reversed([*batch, *chain(*batches)]))
                        self._end(worker)
                    else:
                        found.extend(zip(batch, answer, strict=True))
                while (free := self.with_room(len(todo))) is not None:
                    size = self._batch_size(len(todo))
                    batch = [todo.popleft() for _ in range(size)]
                    self._sent[free].append(batch)
                    _send(free, (job, [items[place] for place in batch]))
                if found:
                    yield found.popleft()
                elif todo and self._works_here():
                    place = todo.popleft()
                    yield place, JOBS[job](items[place])
        finally:  # of work that is given up, no answer must be taken for that of other work
            for worker in [worker for worker, batches in self._sent.items() if batches]:
                self._end(worker)

    def start(self, job: str, count: int) -> None:
        """Start the processes that *count* items of a job are worth."""
        wanted = min(_cores(), count // ITEMS_PER_NEW_PROCESS[job])
        wanted = wanted - 1 if _can_parse() else max(wanted, min(count, 1))
        while len(self._workers) < wanted and (worker := _started()) is not None:
            self._workers.append(worker)
            assert worker.stdout is not None
            self._answers.register(worker.stdout, selectors.EVENT_READ, worker)

    def with_room(self, count: int) -> subprocess.Popen[bytes] | None:
        """The process that takes the next batch when *count* items are left. None if there are
        none, if each process is starting or has enough, or if the rest is done here sooner."""
        worker = min(self._sent, key=lambda it: len(self._sent[it]), default=None)
        if worker is None or (batches := len(self._sent[worker])) == MOST_BATCHES:
            return None
        least = LEAST_ITEMS * (1 + batches) if self._works_here() else 1
        return worker if count >= least else None

    def _works_here(self) -> bool:
        """Whether this process takes items, too."""
        return _can_parse() or not self._workers

    def _batch_size(self, count: int) -> int:
        """The size of the next batch when *count* items are left. Batches get smaller, so that all
        processes finish at about the same time."""
        size = max(LEAST_ITEMS, min(MOST_ITEMS, count // (2 + 2 * len(self._workers))))
        return size if self._works_here() else min(size, count)

    def _readable(self, *, wait: bool) -> list[subprocess.Popen[bytes]]:
        """The processes that have answered, or died. With *wait*, those that have not started for
        too long are ended, if none has."""
        if not self._workers:
            return []
        seconds = (None if self._sent else START_SECONDS) if wait else 0
        ready = self._answers.select(seconds)
        if wait and not ready:
            for worker in list(self._workers):
                self._end(worker)
        return [key.data for key, _ in ready]

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a process: it has nothing to lose."""
        self._workers.remove(worker)
        self._sent.pop(worker, None)
        assert worker.stdout is not None
        self._answers.unregister(worker.stdout)
        worker.kill()
        with contextlib.suppress(OSError):  # it was sent something that it never read
            worker.communicate()


def _can_parse() -> bool:
    """Whether this process has imported the parser."""
    return "sqlglot" in sys.modules


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _started() -> subprocess.Popen[bytes] | None:
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_models.project.loading.parser_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # -m puts the current folder on sys.path, and a project's own json.py must not be there.
            cwd=runtime_folder(),
        )
    except (OSError, WarehouseError):  # it did not start, or the runtime folder is somebody else's
        return None
    with contextlib.suppress(AttributeError, OSError):  # only Linux has it, and up to a limit
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return process


def _send(worker: subprocess.Popen[bytes], batch: tuple[str, Sequence[Any]]) -> None:
    """Send a batch. A process always reads, also while it works or answers, so that the two never
    block each other on full pipes."""
    assert worker.stdin is not None
    with contextlib.suppress(OSError):  # it has died, so it will not answer
        pickle.dump(batch, worker.stdin, protocol=5)
        worker.stdin.flush()


def _answer(worker: subprocess.Popen[bytes], count: int) -> list[Any] | None:
    """The entries of a batch of *count* items; None if the process died, or if this answers an
    earlier batch that was given up. The first answer is to an empty batch, and says that the
    process has started."""
    assert worker.stdout is not None
    file = worker.stdout.fileno()
    with contextlib.suppress(Exception):
        # Not by worker.stdout: its buffer might take the next answer, too, and nobody would see it.
        head = _read(file, len(ANSWER) + SIZE_BYTES)
        if not head.startswith(ANSWER):  # something in the process prints
            return None
        results: list[Any] = pickle.loads(_read(file, int.from_bytes(head[len(ANSWER) :], "big")))
        if len(results) == count:
            return results
    return None


def _read(file: int, size: int) -> bytes:
    """So many bytes of a file. Raises EOFError."""
    pieces = []
    while size:
        pieces.append(os.read(file, min(size, _PIPE_BYTES)))
        if not pieces[-1]:
            raise EOFError
        size -= len(pieces[-1])
    return b"".join(pieces)
