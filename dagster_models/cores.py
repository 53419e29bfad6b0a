"""Work on many texts of SQL, on all cores: part of it here, the rest in processes of their own.

Every job takes one item and gives one entry of the cache. What a process does not answer, because
it died or was never started, is done here.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from dagster_models.errors import WarehouseError
from dagster_models.rendezvous import runtime_folder
from dagster_models.sql_worker import JOBS

#: Fewer items are done sooner than a process starts (0.3 s of one core): parsing a text takes 1 to
#: 2 ms, tracing it 4.
ITEMS_PER_NEW_PROCESS = {"parse": 250, "trace": 100}
#: Fewer are done sooner than they are sent.
ITEMS_PER_PROCESS = 4


class Cores:
    """The processes of one load, started when they are worth it and ended with the block."""

    def __init__(self) -> None:
        self._workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cores:
        return self

    def __exit__(self, *exc_info: Any) -> None:
        for worker in self._workers:
            _end(worker)
        self._workers.clear()

    def map(self, job: str, items: Sequence[Any]) -> list[bytes | None]:
        """The entry of each item, in order."""
        wanted = min(_cores(), len(items) // ITEMS_PER_NEW_PROCESS[job]) - 1
        while len(self._workers) < wanted and (worker := _start()) is not None:
            self._workers.append(worker)
        workers = self._workers[: len(items) // ITEMS_PER_PROCESS]
        shares = 1 + len(workers)
        # Every shares-th, not a block of neighbours: files side by side are of one kind.
        parts = [items[first::shares] for first in range(shares)]
        for worker, part in zip(workers, parts[1:], strict=True):
            _send(worker, (job, part))
        results: list[bytes | None] = [None] * len(items)
        results[0::shares] = [JOBS[job](item) for item in parts[0]]
        for place, (worker, part) in enumerate(zip(workers, parts[1:], strict=True), start=1):
            answer = _answer(worker, len(part))
            if answer is None:
                self._workers.remove(worker)
                _end(worker)
                answer = [JOBS[job](item) for item in part]
            results[place::shares] = answer
        return results


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start() -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "dagster_models.sql_worker"],
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
    """What a worker says to its share, None if it died."""
    assert worker.stdout is not None
    with contextlib.suppress(Exception):
        results: list[bytes | None] = pickle.load(worker.stdout)
        if len(results) == count:
            return results
    return None


def _end(worker: subprocess.Popen[bytes]) -> None:
    """It has nothing to lose."""
    worker.kill()
    with contextlib.suppress(OSError):  # of what it was sent and never read
        worker.communicate()
