"""Idle connections hold the files of Dagster's own event log open and change nothing in them."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from dagster import DagsterInstance, EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.event_log import event_log_files
from dagster_models._dagster.idle_connections import IdleConnections, held_open
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from running import make_project


def event(number: int) -> EventLogEntry:
    return EventLogEntry(None, 10, str(number), "run", 1_700_000_000.0 + number)


@pytest.fixture
def storage(tmp_path: Path) -> SqliteEventLogStorage:
    storage = SqliteEventLogStorage(str(tmp_path))
    storage.store_event(event(0))
    return storage


def log_of(path: str) -> int:
    """Bytes in the write-ahead log; Dagster's last connection removes it when it closes."""
    return os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0


def messages(storage: SqliteEventLogStorage) -> list[str]:
    return [entry.user_message for entry in storage.get_logs_for_run("run")]


def test_the_log_stays_open_for_the_time_of_the_block_and_no_row_is_lost(
    storage: SqliteEventLogStorage,
) -> None:
    path = storage.path_for_shard("run")
    with held_open([path, storage.path_for_shard("index")]):
        storage.store_event(event(1))
        first = log_of(path)
        storage.store_event(event(2))
        assert log_of(path) > first > 0
        assert messages(storage) == ["0", "1", "2"]
    assert log_of(path) == 0
    assert messages(storage) == ["0", "1", "2"]


def test_a_missing_file_and_one_that_is_not_a_database_are_left_alone(tmp_path: Path) -> None:
    missing, other = tmp_path / "missing.db", tmp_path / "other.db"
    other.write_text("no database at all, but long enough to look like one" * 100)
    with held_open([str(missing), str(other)]) as held:
        held.touch()
    assert not missing.exists()
    assert other.read_text().startswith("no database")


def test_dagsters_watchers_see_events_that_are_only_in_the_log(
    storage: SqliteEventLogStorage,
) -> None:
    seen, all_seen = [], threading.Event()

    def on_event(entry: EventLogEntry, cursor: str) -> None:
        seen.append(entry.user_message)
        if len(seen) == 3:
            all_seen.set()

    storage.watch("run", None, on_event)
    try:
        with held_open([storage.path_for_shard("run")]) as held:
            for number in (1, 2):
                storage.store_event(event(number))
                held.touch()
            assert all_seen.wait(30)
    finally:
        storage.end_watch("run", on_event)
        storage.dispose()
    assert seen == ["0", "1", "2"]


def test_a_fork_finds_no_open_connection(storage: SqliteEventLogStorage) -> None:
    path = storage.path_for_shard("run")
    held = IdleConnections([path])
    storage.store_event(event(1))
    assert log_of(path) > 0
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert log_of(path) == 0  # the last connection was closed before the fork, which empties it
    held.close()


@pytest.mark.slow
def test_a_run_holds_the_stock_event_log_and_leaves_it_whole(tmp_path: Path) -> None:
    looked = tmp_path / "looked"
    script = f"""
'''
@model
upstream: [alpha]
'''
import glob, os
logs = glob.glob(os.environ["DAGSTER_HOME"] + "/history/runs/*-wal")
with open({str(looked)!r}, "w") as file:
    for log in logs:
        print(log, os.path.getmtime(log.removesuffix("-wal")), file=file)
"""
    project = make_project(
        tmp_path, {"models/alpha.sql": "select 1 as n", "scripts/look.py": script}
    )
    ran = project.run({"max_concurrent": 1})
    assert ran.code == 0, ran.stdout
    held = {
        Path(log).name: float(at) for log, at in map(str.split, looked.read_text().split("\n")[:-1])
    }
    assert held.pop("index.db-wal")
    ((_, touched_at),) = held.items()
    assert ran.journal is not None
    (alpha,) = [step for step in ran.journal.steps if step.step == "main.alpha"]
    assert touched_at >= (alpha.started_at or 0) + alpha.seconds  # the UI has seen its end
    assert not list((project.home / "history" / "runs").glob("*-wal"))
    (file,) = (f for f in (project.home / "history/runs").glob("*.db") if f.name != "index.db")
    with sqlite3.connect(file) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()
    assert ran.of_type("STEP_SUCCESS") == {"main__alpha", "scripts__look"}


def test_other_storages_are_left_alone(tmp_path: Path) -> None:
    class Context:
        run_id = "run"
        instance = DagsterInstance.local_temp(str(tmp_path))

    assert [Path(p).name for p in event_log_files(Context())] == ["run.db", "index.db"]  # type: ignore[arg-type]
    Context.instance._event_storage = PooledSqliteEventLogStorage(str(tmp_path))
    assert event_log_files(Context()) == []  # type: ignore[arg-type]
    Context.instance.dispose()
