"""Work on many texts of SQL, on all cores: part of it here, the rest in processes of their own.

Every job takes one item and gives one entry of the cache. Whoever is free takes the next few items,
so nobody waits for a process that starts (0.3 s) or that has the longest texts. What a process does
not answer, because it died or was never started, is done here.
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

#: Fewer items are done sooner than a process starts (0.3 s of one core): parsing a text takes 1 to
#: 2 ms, tracing it 4.
ITEMS_PER_NEW_PROCESS = {"parse": 250, "trace": 100}
#: Fewer are done sooner than they are sent.
LEAST_ITEMS = 4
#: A share of more would only be answered later.
MOST_ITEMS = 64


class ParserPool:
    """The processes of one load, started when they are worth it and ended with the block."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []  #: those that are ready for a share
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

    def map(self, job: str, items: Sequence[Any]) -> list[bytes | None]:
        """The entry of each item, in order."""
        results: list[bytes | None] = [None] * len(items)
        for place, entry in self.each(job, items):
            results[place] = entry
        return results

    def each(self, job: str, items: Sequence[Any]) -> Iterator[tuple[int, bytes | None]]:
        """The place and the entry of each item, as they come. What the caller does with one is done
        while the processes go on."""
        self._start(min(_cores(), len(items) // ITEMS_PER_NEW_PROCESS[job]) - 1)
        todo, found = deque(range(len(items))), deque[tuple[int, bytes | None]]()
        sent: dict[subprocess.Popen[bytes], list[int]] = {}
        while todo or sent or found:
            for worker in self._heard(wait=not (todo or found)):
                share = sent.pop(worker, [])
                answer = _answer(worker, len(share))
                if answer is None:
                    todo.extendleft(reversed(share))
                    self._end(worker)
                else:
                    found.extend(zip(share, answer, strict=True))
                    self._idle.append(worker)
            while self._idle and len(todo) >= LEAST_ITEMS:
                worker = self._idle.pop()
                sent[worker] = share = [todo.popleft() for _ in range(self._fair(len(todo)))]
                _send(worker, (job, [items[place] for place in share]))
            if found:
                yield found.popleft()
            elif todo:
                place = todo.popleft()
                yield place, JOBS[job](items[place])

    def _fair(self, count: int) -> int:
        """How many of so many items are one share: fewer and fewer, so that all end at once."""
        return max(LEAST_ITEMS, min(MOST_ITEMS, count // (2 + 2 * len(self._workers))))

    def _heard(self, *, wait: bool) -> list[subprocess.Popen[bytes]]:
        """The processes that have said something, or died."""
        if not self._workers:
            return []
        return [key.data for key, _ in self._answers.select(None if wait else 0)]

    def _start(self, wanted: int) -> None:
        while len(self._workers) < wanted and (worker := _started()) is not None:
            self._workers.append(worker)
            assert worker.stdout is not None
            self._answers.register(worker.stdout, selectors.EVENT_READ, worker)

    def _end(self, worker: subprocess.Popen[bytes]) -> None:
        """It has nothing to lose."""
        self._workers.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        assert worker.stdout is not None
        self._answers.unregister(worker.stdout)
        worker.kill()
        with contextlib.suppress(OSError):  # of what it was sent and never read
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
            cwd=runtime_folder(),  # -m puts it on sys.path: a project's json.py must not
        )
    except (OSError, WarehouseError):  # no process, or somebody else's runtime folder
        return None


def _send(worker: subprocess.Popen[bytes], share: tuple[str, Sequence[Any]]) -> None:
    """It reads all of it before it writes: neither waits for the other with a full pipe."""
    assert worker.stdin is not None
    with contextlib.suppress(OSError):  # it died: then it has no answer either
        pickle.dump(share, worker.stdin, protocol=5)
        worker.stdin.flush()


def _answer(worker: subprocess.Popen[bytes], count: int) -> list[bytes | None] | None:
    """What a worker says to its share, None if it died or answers something else (to a share of
    work that was given up). The first that it says is that it is there: an answer to nothing."""
    assert worker.stdout is not None
    with contextlib.suppress(Exception):
        results: list[bytes | None] = pickle.load(worker.stdout)
        if len(results) == count:
            return results
    return None
