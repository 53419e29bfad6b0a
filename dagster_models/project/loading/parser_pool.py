"""Parses or traces many texts of SQL on all cores: some here, the rest in other processes.

A job ("parse", "trace" or "both") makes the cache entries of one item. Each process that is free
takes the next few items, so that nothing waits for a process that is starting (0.3 s) or has the
longest texts. Items that a process does not answer, because it died or never started, are done
here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from dagster_models.errors import WarehouseError
from dagster_models.project.loading.parser_process import JOBS
from dagster_models.util.runtime_files import runtime_folder

#: At least this many items for each new process. Fewer would be done before it has started (0.3 s
#: of one core): parsing a text takes 1 to 2 ms, and tracing it takes 4 ms.
ITEMS_PER_NEW_PROCESS = {"parse": 250, "trace": 100, "both": 80}
#: The smallest batch: fewer items are done here sooner than they could be sent.
LEAST_ITEMS = 4
#: The largest batch: a larger one would only be answered later.
MOST_ITEMS = 64


class ParserPool:
    """The parser processes of one load. They start when it is worth it, and end with the ``with``
    block."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []  #: those that are ready for a batch
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
        count = max(len(items), expected)
        self._start(min(_cores(), count // ITEMS_PER_NEW_PROCESS[job]) - 1)
        todo = deque(range(len(items))) if todo is None else todo
        found = deque[tuple[int, Any]]()
        sent: dict[subprocess.Popen[bytes], list[int]] = {}
        while todo or sent or found:
            for worker in self._readable(wait=not (todo or found)):
                batch = sent.pop(worker, [])
                answer = _answer(worker, len(batch))
                if answer is None:
                    todo.extendleft(reversed(batch))
                    self._end(worker)
                else:
                    found.extend(zip(batch, answer, strict=True))
                    self._idle.append(worker)
            while self._idle and len(todo) >= LEAST_ITEMS:
                worker = self._idle.pop()
                size = self._batch_size(len(todo))
                sent[worker] = batch = [todo.popleft() for _ in range(size)]
                _send(worker, (job, [items[place] for place in batch]))
            if found:
                yield found.popleft()
            elif todo:
                place = todo.popleft()
                yield place, JOBS[job](items[place])

    def _batch_size(self, count: int) -> int:
        """The size of the next batch when *count* items are left. Batches get smaller, so that all
        processes finish at about the same time."""
        return max(LEAST_ITEMS, min(MOST_ITEMS, count // (2 + 2 * len(self._workers))))

    def _readable(self, *, wait: bool) -> list[subprocess.Popen[bytes]]:
        """The processes that have answered, or died."""
        if not self._workers:
            return []
        return [key.data for key, _ in self._answers.select(None if wait else 0)]

    def _start(self, wanted: int) -> None:
        while len(self._workers) < wanted and (worker := _started()) is not None:
            self._workers.append(worker)
            assert worker.stdout is not None
            self._answers.register(worker.stdout, selectors.EVENT_READ, worker)

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a process: it has nothing to lose."""
        self._workers.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        assert worker.stdout is not None
        self._answers.unregister(worker.stdout)
        worker.kill()
        with contextlib.suppress(OSError):  # it was sent something that it never read
            worker.communicate()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _started() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "dagster_models.project.loading.parser_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # -m puts the current folder on sys.path, and a project's own json.py must not be there.
            cwd=runtime_folder(),
        )
    except (OSError, WarehouseError):  # it did not start, or the runtime folder is somebody else's
        return None


def _send(worker: subprocess.Popen[bytes], batch: tuple[str, Sequence[Any]]) -> None:
    """Send a batch. The process reads all of it before it answers, so the two never
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
    with contextlib.suppress(Exception):
        results: list[Any] = pickle.load(worker.stdout)
        if len(results) == count:
            return results
    return None
