"""The pooled event log storage beside other processes and threads.

Run as a program, this file is the other process of its tests (see ``PROGRAMS``).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dagster import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from event_logs import connect, event, materialized, numbers, one_by_one, stock
from paths import environment_of_tests

pytestmark = pytest.mark.timeout(180)


def start(program: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", __file__, program, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_of_tests(),
    )


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def writers(folder: str) -> None:
    """For each line "run_id how batch", fork a process that stores events of that run until killed.

    The process prints its id, and then every number whose store call has returned; after its end,
    "gone" is printed. It is forked from here, because importing Dagster takes seconds.
    """
    for line in sys.stdin:
        run_id, how, batch = line.split()
        child = os.fork()
        if child == 0:
            say(os.getpid())
            store_until_killed(PooledSqliteEventLogStorage(folder), run_id, how, int(batch))
        os.waitpid(child, 0)
        say("gone")


def store_until_killed(
    storage: PooledSqliteEventLogStorage, run_id: str, how: str, batch: int
) -> None:
    for first in range(0, sys.maxsize, batch):
        events = [event(run_id, number, "alpha") for number in range(first, first + batch)]
        if how == "batch":
            storage.store_event_batch(events)
        else:
            with storage.one_commit(run_id) if how == "one_commit" else contextlib.nullcontext():
                one_by_one(storage, events)
        say(first + batch - 1)


STORAGES = {"stock": SqliteEventLogStorage, "pooled": PooledSqliteEventLogStorage}


def watcher(folder: str, of: str, run_id: str, last: str) -> None:
    """Follow a run as a webserver's live logs do, until its last event; print what was seen."""
    storage, seen, done = STORAGES[of](folder), [], threading.Event()

    def on_event(entry: EventLogEntry, cursor: str) -> None:
        seen.append(int(entry.user_message))
        if seen[-1] == int(last):
            done.set()

    storage.watch(run_id, None, on_event)
    say("ready")
    in_time = done.wait(60)
    say(json.dumps(seen))
    say(json.dumps([materialized(storage, "alpha"), in_time]))
    storage.dispose()


def forker(folder: str) -> None:
    """Fork with the files open, then write in parent and child; the parent closes in between."""
    storage = PooledSqliteEventLogStorage(folder)
    storage.store_event(event("run", 0, "alpha"))
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        storage.store_event(event("run", 1, "alpha"))
        os.write(to_parent[1], b"1")
        os.read(to_child[0], 1)
        storage.store_event(event("run", 2, "alpha"))
        os._exit(0)
    os.read(to_parent[0], 1)
    storage.dispose()  # the last connection to close a file deletes its write-ahead log
    os.write(to_child[1], b"1")
    _, status = os.waitpid(child, 0)
    storage.store_event(event("run", 3, "alpha"))
    say(status, *numbers(storage, "run"))


PROGRAMS = {"writers": writers, "watcher": watcher, "forker": forker}


@pytest.mark.parametrize("reader_of", STORAGES)
def test_a_webserver_follows_a_run_while_it_is_written(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path, reader_of: str
) -> None:
    pooled.store_event(event("run", 0, "alpha"))
    with start("watcher", tmp_path / "runs", reader_of, "run", 299) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for number in range(1, 100):
            pooled.store_event(event("run", number, "alpha"))
        for first in range(100, 300, 10):
            with pooled.one_commit("run"):
                one_by_one(pooled, [event("run", n, "alpha") for n in range(first, first + 10)])
        # Nothing is closed here: the reader sees all this while the writer goes on.
        assert json.loads(reader.stdout.readline()) == list(range(300))
        assert json.loads(reader.stdout.readline()) == [list(range(300)), True]


def killed_after(
    process: subprocess.Popen[str], run_id: str, how: str, lines: int, seconds: float
) -> int:
    """The last number that a writer stored; it is killed *seconds* after so many *lines*."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{run_id} {how}\n")
    process.stdin.flush()
    pid, last = int(process.stdout.readline()), -1
    for _ in range(lines):
        last = int(process.stdout.readline())
    # Without the pause, every kill would hit the beginning of an event, before it writes anything.
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    while (line := process.stdout.readline()) != "gone\n":
        last = int(line)
    return last


#: How events are stored, and how many of them are stored together or not at all.
HOW = (("single", 1), ("batch", 8), ("one_commit", 4))


def test_nothing_that_was_stored_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(1)
    in_index = 0
    with start("writers", tmp_path) as process:
        for attempt in range(18):
            run_id, how, batch = f"run-{attempt}", *HOW[attempt % 3]
            lines, seconds = chance.randint(0, 12), chance.uniform(0, 0.03)
            last = killed_after(process, run_id, f"{how} {batch}", lines, seconds)
            for path in tmp_path.glob("*.db"):
                with connect(path) as db:
                    assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
            theirs, ours = stock(tmp_path), PooledSqliteEventLogStorage(str(tmp_path))
            found = numbers(theirs, run_id)
            assert found == list(range(len(found)))
            assert len(found) > last, "an event whose store call had returned is lost"
            assert len(found) % batch == 0, "half a batch"
            now_in_index = len(materialized(theirs, "alpha"))
            assert in_index + last < now_in_index <= in_index + len(found)
            # The run may be resumed, with either class.
            ours.store_event(event(run_id, len(found), "alpha"))
            theirs.store_event(event(run_id, len(found) + 1, "alpha"))
            assert numbers(ours, run_id) == list(range(len(found) + 2))
            in_index = now_in_index + 2
            ours.dispose()
        process.communicate()


def test_a_forked_process_and_its_parent_both_keep_what_they_store(tmp_path: Path) -> None:
    with start("forker", tmp_path) as process:
        output, _ = process.communicate(timeout=60)
    assert output.split() == ["0", "0", "1", "2", "3"]
    assert numbers(stock(tmp_path), "run") == [0, 1, 2, 3]
    assert materialized(stock(tmp_path), "alpha") == [0, 1, 2, 3]


def test_threads_share_a_storage(pooled: PooledSqliteEventLogStorage) -> None:
    def work(name: str) -> None:
        for number in range(25):
            pooled.store_event(event(name, number, name))
            pooled.get_logs_for_run(name)

    threads = [threading.Thread(target=work, args=(f"run{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(4):
        assert numbers(pooled, f"run{i}") == materialized(pooled, f"run{i}") == list(range(25))


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
