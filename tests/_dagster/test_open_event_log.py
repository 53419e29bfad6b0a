"""During a run, Dagster's stock event log keeps its connections open, and nothing else changes."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    EventLogEntry,
    serialize_value,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.event_log import has_stock_event_log, open_event_log
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from event_logs import event, numbers, one_by_one, stock
from running import make_project

in_place_of = PooledSqliteEventLogStorage.in_place_of


@pytest.fixture
def storage(tmp_path: Path) -> SqliteEventLogStorage:
    storage = stock(tmp_path)
    storage.store_event(event("run", 0))
    return storage


def log_of(path: str) -> int:
    """Bytes in the write-ahead log; Dagster's last connection removes it when it closes."""
    return os.path.getsize(f"{path}-wal") if os.path.exists(f"{path}-wal") else 0


def test_the_files_are_open_in_the_block_and_whole_after_it(storage: SqliteEventLogStorage) -> None:
    path = storage.path_for_shard("run")
    with in_place_of(storage):
        storage.store_event(event("run", 1))
        first = log_of(path)
        storage.store_event(event("run", 2))
        assert log_of(path) > first > 0
        assert numbers(storage, "run") == numbers(stock(Path(path).parent), "run") == [0, 1, 2]
    assert log_of(path) == 0
    assert type(storage) is SqliteEventLogStorage
    storage.store_event(event("run", 3))
    assert numbers(storage, "run") == [0, 1, 2, 3]


def test_an_error_ends_the_block_as_well(storage: SqliteEventLogStorage) -> None:
    path = storage.path_for_shard("run")

    def fail() -> None:
        with in_place_of(storage):
            storage.store_event(event("run", 1))
            raise ValueError("of the run")

    with pytest.raises(ValueError, match="of the run"):
        fail()
    assert (type(storage), log_of(path)) == (SqliteEventLogStorage, 0)


def test_a_watcher_from_before_the_block_sees_its_events(storage: SqliteEventLogStorage) -> None:
    seen, all_seen = [], threading.Event()

    def on_event(entry: EventLogEntry, cursor: str) -> None:
        seen.append(entry.user_message)
        if len(seen) == 4:
            all_seen.set()

    storage.watch("run", None, on_event)
    try:
        with in_place_of(storage):
            one_by_one(storage, [event("run", number) for number in (1, 2, 3)])
            assert all_seen.wait(30)
    finally:
        storage.end_watch("run", on_event)
        storage.dispose()
    assert seen == ["0", "1", "2", "3"]


def test_a_fork_finds_no_open_connection(storage: SqliteEventLogStorage) -> None:
    path = storage.path_for_shard("run")
    with in_place_of(storage):
        storage.store_event(event("run", 1))
        assert log_of(path) > 0
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        assert log_of(path) == 0  # the last connection was closed before the fork
        storage.store_event(event("run", 2))
    assert numbers(storage, "run") == [0, 1, 2]


def test_of_two_runs_in_one_process_the_last_one_ends_it(tmp_path: Path) -> None:
    class Context:
        run_id = "run"
        instance = DagsterInstance.local_temp(str(tmp_path))

    storage = Context.instance.event_log_storage
    context: Any = Context()
    with contextlib.ExitStack() as second:
        with open_event_log(context):
            second.enter_context(open_event_log(context))
        storage.store_event(event("run", 0))
        assert type(storage) is PooledSqliteEventLogStorage
        assert log_of(storage.path_for_shard("run")) > 0
    assert type(storage) is SqliteEventLogStorage
    assert log_of(storage.path_for_shard("run")) == 0
    Context.instance.dispose()


def test_the_block_does_not_end_within_a_commit_of_another_thread(
    storage: SqliteEventLogStorage,
) -> None:
    """Its next event would wait for its own transaction."""
    begun, ends = threading.Event(), threading.Event()

    def commit() -> None:
        with storage.one_commit("run"):  # type: ignore[attr-defined]
            storage.store_event(event("run", 1))
            begun.set()
            assert ends.wait(30)
            classes.append(type(storage))
            storage.store_event(event("run", 2))

    classes = list[type]()
    other = threading.Thread(target=commit)
    with in_place_of(storage):
        other.start()
        assert begun.wait(30)
        threading.Timer(0.1, ends.set).start()  # by then this thread waits at the end of the block
    other.join(30)
    assert classes == [PooledSqliteEventLogStorage]
    assert type(storage) is SqliteEventLogStorage
    assert numbers(storage, "run") == [0, 1, 2]


def test_a_method_that_began_in_the_block_works_after_it(storage: SqliteEventLogStorage) -> None:
    """Another thread may be in its first lines while the run ends."""
    path = storage.path_for_shard("run")
    with in_place_of(storage):
        begun = storage
        store, has_table, has_index = begun.store_event, begun.has_table, begun.has_secondary_index
        batch, has_column = begun.store_event_batch, begun._has_asset_key_col_on_connection
        records, dispose = begun.get_asset_records, begun.dispose
        connection, commit = begun.run_connection("run"), begun.one_commit("run")  # type: ignore[attr-defined]
    store(event("run", 1))
    batch([event("run", 2)])
    with commit:
        storage.store_event(event("run", 3, "a"))
    store(event("run", 4, "a"))
    with connection as opened:
        assert opened.exec_driver_sql("select count(*) from event_logs").scalar() == 5
    assert has_table("asset_event_tags")
    assert has_index("no such migration") is False
    with storage.index_connection() as opened:
        assert has_column(opened, "asset_details")
    assert records([]) == []
    (found,) = records([AssetKey("a")])
    assert found == storage.get_asset_records([AssetKey("a")])[0]
    assert found.asset_entry.last_run_id == "run"
    with storage.index_connection() as opened:  # as Dagster 0.11 wrote it: it is found in the log
        old = serialize_value(AssetMaterialization("a"))
        opened.exec_driver_sql("update asset_keys set last_materialization = ?", (old,))
    (again,) = records([AssetKey("a")])
    assert again.asset_entry.last_materialization == found.asset_entry.last_materialization
    assert [log_of(path), log_of(storage.path_for_shard("index"))] == [0, 0]
    assert type(storage) is SqliteEventLogStorage
    dispose()


def test_only_the_stock_class_is_replaced(tmp_path: Path) -> None:
    class Context:
        run_id = "run"
        instance = DagsterInstance.local_temp(str(tmp_path))

    context: Context = Context()
    assert has_stock_event_log(context)  # type: ignore[arg-type]
    with open_event_log(context):  # type: ignore[arg-type]
        assert type(context.instance.event_log_storage) is PooledSqliteEventLogStorage
        assert not has_stock_event_log(context)  # type: ignore[arg-type]
    context.instance.dispose()
    for other in (PooledSqliteEventLogStorage(str(tmp_path)), _Derived(str(tmp_path))):
        context.instance._event_storage = other
        assert not has_stock_event_log(context)  # type: ignore[arg-type]
        with open_event_log(context):  # type: ignore[arg-type]
            assert type(context.instance.event_log_storage) is type(other)
        other.dispose()


class _Derived(SqliteEventLogStorage):
    """Somebody's own."""


@pytest.mark.slow
def test_a_run_keeps_the_stock_event_log_open_and_leaves_it_whole(tmp_path: Path) -> None:
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
    open_files = {
        Path(log).name: float(at) for log, at in map(str.split, looked.read_text().split("\n")[:-1])
    }
    assert open_files.pop("index.db-wal")
    ((_, touched_at),) = open_files.items()
    assert ran.journal is not None
    (alpha,) = [step for step in ran.journal.steps if step.step == "main.alpha"]
    assert touched_at >= (alpha.started_at or 0) + alpha.seconds  # the UI has seen its end
    assert not list((project.home / "history" / "runs").glob("*-wal"))
    (file,) = (f for f in (project.home / "history/runs").glob("*.db") if f.name != "index.db")
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert ran.of_type("STEP_SUCCESS") == {"main__alpha", "scripts__look"}
