"""The pooled event log storage: what the stock class promises, kept while connections stay open.

Everything is held against Dagster's own class on real files. Run as a program, this file is the
other process of the tests below (see ``PROGRAMS``).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy
from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    MaterializeResult,
    asset,
    materialize,
    serialize_value,
)
from dagster._core.events import StepMaterializationData
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import get_alembic_config, run_alembic_downgrade
from paths import environment_of_tests

from dagster_models._dagster.shards import MAX_OPEN_SHARDS
from dagster_models._dagster.step_generator import Parked, exhaust
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from dagster_models.errors import DagsterModelsError
from running import make_project

pytestmark = pytest.mark.timeout(180)

STOCK_YAML = "telemetry: {enabled: false}\n"
POOLED_YAML = f"""{STOCK_YAML}event_log_storage:
  module: dagster_models.storage
  class: PooledSqliteEventLogStorage
"""


def event(run_id: str, number: int, asset_name: str = "") -> EventLogEntry:
    """Event ``number`` of a run: a log line, or the materialisation of an asset."""
    of_asset = DagsterEvent(
        event_type_value=DagsterEventType.ASSET_MATERIALIZATION.value,
        job_name="job",
        step_key=asset_name,
        event_specific_data=StepMaterializationData(
            AssetMaterialization(asset_name, tags={"dagster/data_version": str(number)})
        ),
    )
    return EventLogEntry(
        error_info=None,
        level=10,
        user_message=str(number),
        run_id=run_id,
        timestamp=1_700_000_000.0 + number,
        step_key=asset_name or None,
        job_name="job",
        dagster_event=of_asset if asset_name else None,
    )


def numbers(storage: SqliteEventLogStorage, run_id: str) -> list[int]:
    return [int(entry.user_message) for entry in storage.get_logs_for_run(run_id)]


def materialized(storage: SqliteEventLogStorage, asset_name: str) -> list[int]:
    """The numbers of an asset's materialisations, as the index knows them."""
    result = storage.fetch_materializations(AssetKey(asset_name), limit=10_000, ascending=True)
    return [int(record.event_log_entry.user_message) for record in result.records]


def connect(path: Path) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path))


#: Columns that the database fills in with its own clock.
CLOCKS = {"create_timestamp", "update_timestamp", "migration_completed"}


def tables(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of every shard, but for the database's own timestamps."""
    found = {}
    for path in sorted(folder.glob("*.db")):
        with connect(path) as db:
            names = [n for (n,) in db.execute("select name from sqlite_master where type='table'")]
            for name in sorted(names):
                columns = [row[1] for row in db.execute(f"pragma table_info({name})")]
                chosen = ", ".join(f'"{c}"' for c in columns if c not in CLOCKS)
                rows = db.execute(f"select {chosen} from {name} order by rowid").fetchall()
                found[f"{path.name}:{name}"] = rows
            found[f"{path.name}:schema"] = sorted(
                db.execute("select type, name, sql from sqlite_master").fetchall(), key=repr
            )
    return found


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[PooledSqliteEventLogStorage]:
    storage = PooledSqliteEventLogStorage(str(tmp_path / "runs"))
    yield storage
    storage.dispose()


def stock(folder: str | Path) -> SqliteEventLogStorage:
    return SqliteEventLogStorage(str(folder))


@asset(
    code_version="1",
    check_specs=[AssetCheckSpec("few", asset="alpha"), AssetCheckSpec("many", asset="alpha")],
)
def alpha(context) -> Any:  # type: ignore[no-untyped-def]
    context.log_event(AssetObservation("elsewhere", tags={"seen": "yes"}))
    yield MaterializeResult(metadata={"rows": 3}, tags={"kind": "test"})
    yield AssetCheckResult(check_name="few", passed=True)
    yield AssetCheckResult(check_name="many", passed=False, severity=AssetCheckSeverity.WARN)


@asset(deps=[alpha])
def beta() -> None:
    raise ValueError("beta has its reasons")


@asset(deps=[beta])
def gamma() -> None: ...


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Sequence[EventLogEntry]:
    """All events of two real runs: checks, an observation, a failure, a skip, a second success."""
    home = tmp_path_factory.mktemp("recorded")
    (home / "dagster.yaml").write_text(STOCK_YAML)
    with DagsterInstance.from_config(str(home)) as instance:
        runs = [
            materialize([alpha, beta, gamma], instance=instance, raise_on_error=False),
            materialize([alpha], instance=instance),
        ]
        events = [entry for run in runs for entry in instance.all_logs(run.run_id)]
    kinds = {entry.dagster_event.event_type_value for entry in events if entry.dagster_event}
    assert {
        "ASSET_OBSERVATION",
        "ASSET_CHECK_EVALUATION",
        "STEP_FAILURE",
        "PIPELINE_SUCCESS",
    } <= kinds
    return events


def one_by_one(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    for entry in events:
        storage.store_event(entry)


def in_batches(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    """Odd sizes, so that batches hold all kinds of events and cross from one run to the next."""
    for start in range(0, len(events), 7):
        storage.store_event_batch(events[start : start + 7])


@pytest.mark.parametrize("store", [one_by_one, in_batches])
def test_the_files_hold_the_same_rows_as_the_stock_class_writes(
    recorded: Sequence[EventLogEntry],
    tmp_path: Path,
    store: Callable[[SqliteEventLogStorage, Sequence[EventLogEntry]], None],
) -> None:
    theirs, ours = stock(tmp_path / "stock"), PooledSqliteEventLogStorage(str(tmp_path / "pooled"))
    store(theirs, recorded)
    store(ours, recorded)
    ours.delete_events(recorded[-1].run_id)
    theirs.delete_events(recorded[-1].run_id)
    ours.dispose()
    expected = tables(tmp_path / "stock")
    assert tables(tmp_path / "pooled") == expected
    filled = {name.partition(":")[2] for name, rows in expected.items() if rows}
    assert {"event_logs", "asset_keys", "asset_event_tags", "asset_check_executions"} <= filled


PRAGMAS = (
    *("journal_mode", "synchronous", "busy_timeout", "locking_mode", "foreign_keys"),
    *("wal_autocheckpoint", "checkpoint_fullfsync", "fullfsync", "page_size"),
)


@pytest.mark.parametrize("run_id", ["some-run", None])
def test_durability_is_set_as_in_the_stock_class(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path, run_id: str | None
) -> None:
    def settings(storage: SqliteEventLogStorage) -> dict[str, object]:
        with storage.run_connection(run_id) if run_id else storage.index_connection() as conn:
            found = {
                name: conn.execute(sqlalchemy.text(f"pragma {name}")).scalar() for name in PRAGMAS
            }
            return {**found, "isolation": conn.connection.dbapi_connection.isolation_level}

    ours = settings(pooled)
    assert ours == settings(stock(tmp_path / "stock"))
    assert (ours["journal_mode"], ours["synchronous"]) == ("wal", 2)
    assert settings(pooled) == ours  # and again, on the connection from the pool


def test_one_connection_is_used_again_and_again(pooled: PooledSqliteEventLogStorage) -> None:
    def raw() -> int:
        with pooled.run_connection("run") as conn:
            return id(conn.connection.dbapi_connection)

    assert len({raw() for _ in range(5)}) == 1


# --- beside other processes -------------------------------------------------------------------


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
    """For each line "run_id how batch": fork a process that stores events of that run until killed.

    It tells its process id, then every number whose store call has returned; "gone" is told after
    it. (Forked from here and not started each by itself, as importing Dagster takes seconds.)
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
    """Follow a run as a webserver's live logs do, until its last event; tell what was seen."""
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
    """Fork with the files open, then write in parent and child, the parent closing in between."""
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
    storage.dispose()  # the last one to close a file deletes its write-ahead log
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
        # Nothing is closed here: what the reader sees, it sees of a writer that goes on.
        assert json.loads(reader.stdout.readline()) == list(range(300))
        assert json.loads(reader.stdout.readline()) == [list(range(300)), True]


def killed_after(
    process: subprocess.Popen[str], run_id: str, how: str, lines: int, seconds: float
) -> int:
    """Let a writer store, kill it that long after that many lines; the last number stored."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{run_id} {how}\n")
    process.stdin.flush()
    pid, last = int(process.stdout.readline()), -1
    for _ in range(lines):
        last = int(process.stdout.readline())
    # Without a pause every kill would hit the beginning of an event, before it writes anything.
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    while (line := process.stdout.readline()) != "gone\n":
        last = int(line)
    return last


#: How events are stored, and how many of them are there all or not at all.
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
        told, _ = process.communicate(timeout=60)
    assert told.split() == ["0", "0", "1", "2", "3"]
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


# --- what an open connection could break ------------------------------------------------------


def test_a_file_that_was_made_anew_is_opened_anew(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    pooled.store_event(event("run", 0))
    for path in (tmp_path / "runs").glob("run.db*"):
        path.unlink()
    stock(tmp_path / "runs").store_event(event("run", 7))
    pooled.store_event(event("run", 8))
    assert numbers(pooled, "run") == numbers(stock(tmp_path / "runs"), "run") == [7, 8]


def test_wipe_leaves_nothing_behind(pooled: PooledSqliteEventLogStorage, tmp_path: Path) -> None:
    pooled.store_event(event("run", 0, "alpha"))
    pooled.wipe()
    assert pooled._shards.names() == ("index",)  # no deleted file is held open
    assert {path.name.partition(".")[0] for path in (tmp_path / "runs").iterdir()} == {"index"}
    pooled.store_event(event("run", 1, "alpha"))
    assert numbers(stock(tmp_path / "runs"), "run") == [1]
    assert materialized(pooled, "alpha") == [1]


def test_what_the_tables_are_like_is_looked_up_once_per_file(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A yes is kept as long as the file is the same one; a no is asked again."""
    asked: list[str] = []

    def noted(name: str) -> None:
        real = getattr(SqliteEventLogStorage, name)

        def ask(storage: SqliteEventLogStorage, *arguments: Any) -> bool:
            asked.append(arguments[-1])
            return bool(real(storage, *arguments))

        monkeypatch.setattr(SqliteEventLogStorage, name, ask)

    noted("has_secondary_index")
    noted("_has_asset_key_col_on_connection")
    for number in range(3):
        pooled.store_event(event("run", number, "alpha"))
        assert len(pooled.get_asset_records([AssetKey("alpha")])) == 1
    once = {"asset_key_index_columns", "last_materialization_timestamp", "cached_status_data"}
    assert set(asked) == once
    assert len(asked) == 3
    assert not pooled.has_secondary_index("of a later version")
    stock(tmp_path / "runs").enable_secondary_index("of a later version")
    assert pooled.has_secondary_index("of a later version")
    for path in (tmp_path / "runs").glob("index.db*"):
        path.unlink()
    stock(tmp_path / "runs").store_event(event("run", 7))
    assert not pooled.has_secondary_index("of a later version")


PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED


def test_the_last_materialisations_are_those_that_the_stock_class_finds(
    recorded: Sequence[EventLogEntry],
    pooled: PooledSqliteEventLogStorage,
    tmp_path: Path,
) -> None:
    """Read again and again by one that remembers, while others write, wipe and write old forms."""
    theirs = stock(tmp_path / "runs")
    keys = [AssetKey("alpha"), AssetKey("beta"), AssetKey("elsewhere")]

    def both_find(alpha: bool) -> None:
        for _ in range(2):
            for asked in (keys, keys[:1]):
                found = pooled.get_asset_records(asked)
                assert found == theirs.get_asset_records(asked)
            entries = {
                record.asset_entry.asset_key.path[-1]: record.asset_entry for record in found
            }
            assert ("alpha" in entries and bool(entries["alpha"].last_materialization)) == alpha

    one_by_one(pooled, recorded)
    both_find(alpha=True)
    with theirs.index_connection() as conn:  # as Dagster 0.11 wrote it
        old = serialize_value(AssetMaterialization("alpha"))
        conn.execute(sqlalchemy.text("update asset_keys set last_materialization = :o"), {"o": old})
    both_find(alpha=True)
    theirs.store_event(event("newer", 1, "alpha"))
    both_find(alpha=True)
    theirs.wipe_asset(keys[0])
    both_find(alpha=False)
    # A materialisation of before the wipe that comes late, and is shown again by what follows.
    theirs.store_event(event("late", 1, "alpha"))
    planned = next(e for e in recorded if e.dagster_event_type == PLANNED)
    theirs.store_event(planned._replace(timestamp=time.time() + 1))
    both_find(alpha=False)
    theirs.store_event(event("later", 1, "alpha")._replace(timestamp=time.time() + 2))
    both_find(alpha=True)


def test_a_result_that_was_not_read_to_its_end_does_not_stop_the_next_write(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    for number in range(3):
        pooled.store_event(event("run", number))
    with pooled.run_connection("run") as conn:
        half_read = conn.execute(sqlalchemy.text("select id from event_logs"))
        assert half_read.fetchone() == (1,)
    stock(tmp_path / "runs").store_event(event("run", 3))  # the snapshot above is now an old one
    pooled.store_event(event("run", 4))
    assert numbers(pooled, "run") == [0, 1, 2, 3, 4]
    del half_read


def test_an_error_rolls_back_and_the_next_use_works(pooled: PooledSqliteEventLogStorage) -> None:
    pooled.store_event(event("run", 0))

    def change_and_fail() -> None:
        with pooled.run_connection("run") as conn:
            conn.execute(sqlalchemy.text("delete from event_logs"))
            raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        change_and_fail()
    assert "run" not in pooled._shards.names()  # a connection in doubt is not used again
    pooled.store_event(event("run", 1))
    assert numbers(pooled, "run") == [0, 1]


def test_a_batch_that_the_index_refuses_leaves_nothing_in_either_file(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    with connect(tmp_path / "runs" / "index.db") as db:
        db.execute(
            "create trigger refuse before insert on asset_event_tags"
            " when new.asset_key like '%beta%' begin select raise(abort, 'no beta'); end"
        )
    events = [event("run", 0, "alpha"), event("run", 1), event("run", 2, "beta")]
    pooled.store_event(event("run", 9))
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="no beta"):
        pooled.store_event_batch(events)
    assert numbers(pooled, "run") == [9]
    assert materialized(pooled, "alpha") == []
    pooled.store_event_batch(events[:2])
    assert numbers(pooled, "run") == [9, 0, 1]
    assert materialized(pooled, "alpha") == [0]


def test_what_one_commit_holds_is_seen_by_others_all_at_once(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    others = stock(tmp_path / "runs")
    pooled.store_event(event("run", 0, "alpha"))
    with pooled.one_commit("run"):
        pooled.store_event(event("run", 1, "alpha"))
        pooled.store_event(event("run", 2))
        assert numbers(pooled, "run") == [0, 1, 2]  # the same thread goes on from there
        assert materialized(pooled, "alpha") == [0, 1]
        assert numbers(others, "run") == materialized(others, "alpha") == [0]
    assert numbers(others, "run") == [0, 1, 2]
    assert materialized(others, "alpha") == [0, 1]


def test_an_error_within_one_commit_takes_nothing_back(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    def store_and_fail() -> None:
        with pooled.one_commit("run"):
            pooled.store_event(event("run", 0, "alpha"))
            raise ValueError("of the user's code")

    with pytest.raises(ValueError, match="of the user's code"):
        store_and_fail()
    assert numbers(stock(tmp_path / "runs"), "run") == [0]
    assert materialized(stock(tmp_path / "runs"), "alpha") == [0]


def test_steps_that_end_together_are_stored_together(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    """And one that raises takes nothing from the others, which must not be dropped."""
    others = stock(tmp_path / "runs")
    context: Any = SimpleNamespace(run_id="run", instance=SimpleNamespace(event_log_storage=pooled))
    seen: list[list[int]] = []

    def ending(number: int) -> Iterator[Any]:
        pooled.store_event(event("run", number))
        seen.append(numbers(others, "run"))
        if number == 2:
            raise ValueError("of step 2")
        yield number

    steps = [Parked(context, ending(number), 1.0) for number in (1, 2, 3)]
    pooled.store_event(event("run", 0))
    assert exhaust(steps[:1]) == [[1]]
    with pytest.raises(ValueError, match="of step 2"):
        exhaust(steps[1:])
    assert seen == [[0], [0, 1], [0, 1]]
    assert numbers(others, "run") == [0, 1, 2, 3]


def test_steps_that_start_together_are_stored_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told of before it is done, and one commit is one wait for the disk."""
    project = make_project(tmp_path, {f"models/m{n}.sql": "select 1 as id" for n in range(5)})
    (project.home / "dagster.yaml").write_text(POOLED_YAML)
    project.write({"definitions.py": COUNTING})
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert project.run({"max_concurrent": 5}).code == 0
    commits = [line.split() for line in (project.root / "commits").read_text().splitlines()]
    starts = [commit for commit in commits if "STEP_START" in commit]
    assert starts == [["STEP_START"] * 5]


#: Notes the step events of each commit.
COUNTING = """
from pathlib import Path
from dagster_models import load_project
from dagster_models._dagster import shards, storage

here = Path(__file__).parent
stored = []
transaction, store = shards._transaction, storage.PooledSqliteEventLogStorage.store_event

@shards.contextlib.contextmanager
def counting(shard):
    with transaction(shard) as connection:
        yield connection
    if stored and "index" not in shard.path:
        with open(here / "commits", "a") as file:
            print(*stored, file=file)
        stored.clear()

def storing(self, event):
    if event.dagster_event is not None:
        stored.append(event.dagster_event.event_type_value)
    store(self, event)

shards._transaction, storage.PooledSqliteEventLogStorage.store_event = counting, storing
defs = load_project(here)
"""


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def test_many_runs_hold_a_bounded_number_of_files_and_dispose_frees_them(tmp_path: Path) -> None:
    gc.collect()
    before = open_files()
    storage = PooledSqliteEventLogStorage(str(tmp_path))
    for number in range(2 * MAX_OPEN_SHARDS):
        storage.store_event(event(f"run{number}", number, "alpha"))
    assert open_files() - before <= 3 * MAX_OPEN_SHARDS
    for number in range(2 * MAX_OPEN_SHARDS):
        assert numbers(storage, f"run{number}") == [number]
    storage.dispose()
    assert open_files() == before
    assert not list(tmp_path.glob("*-wal")), "closed without a checkpoint"
    storage.store_event(event("run0", 99))  # as with the stock class, no use is forbidden after it
    assert numbers(storage, "run0") == [0, 99]
    storage.dispose()


def test_a_storage_that_is_forgotten_closes_its_files(tmp_path: Path) -> None:
    gc.collect()
    before = open_files()
    storage = PooledSqliteEventLogStorage(str(tmp_path))
    storage.store_event(event("run", 0, "alpha"))
    assert open_files() > before
    shards = storage._shards
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        del storage
        gc.collect()
    assert shards.names() == (), "left to the garbage collector"
    assert open_files() == before
    assert not told


# --- in a Dagster home ------------------------------------------------------------------------


def home_with(yaml: str, home: Path) -> Path:
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml)
    return home


def dagster(home: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dagster", *args],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_changing_to_it_and_back_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home_with(STOCK_YAML, tmp_path / "home")))
    written: dict[str, list[str]] = {}
    classes = []
    for yaml in (STOCK_YAML, POOLED_YAML, STOCK_YAML, POOLED_YAML):
        home_with(yaml, tmp_path / "home")
        with DagsterInstance.get() as instance:
            classes.append(type(instance.event_log_storage))
            for run_id, messages in written.items():
                assert [e.message for e in instance.all_logs(run_id)] == messages
            result = materialize([alpha], instance=instance)
            written[result.run_id] = [e.message for e in instance.all_logs(result.run_id)]
            latest = instance.get_latest_materialization_event(AssetKey("alpha"))
            assert latest is not None
            assert latest.run_id == result.run_id
            history = instance.fetch_materializations(AssetKey("alpha"), limit=9).records
            assert [record.run_id for record in history] == list(written)[::-1]
    assert classes == 2 * [SqliteEventLogStorage, PooledSqliteEventLogStorage]
    assert all(len(messages) > 5 for messages in written.values())
    assert {p.stem for p in (tmp_path / "home/history/runs").glob("*.db")} >= set(written)


#: Before asset checks and concurrency limits had tables.
OLD_REVISION = "5771160a95ad"


@pytest.mark.slow
def test_dagster_instance_migrate_brings_old_files_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(home_with(POOLED_YAML, tmp_path / "home")))
    with DagsterInstance.get() as instance:
        runs = [materialize([alpha], instance=instance).run_id for _ in range(3)]
    folder = tmp_path / "home/history/runs"
    old = stock(folder)
    import dagster._core.storage.event_log.sqlite.sqlite_event_log as home_of_alembic

    config = get_alembic_config(home_of_alembic.__file__)
    for shard in ["index", *runs]:
        with old._connect(shard) as conn:
            run_alembic_downgrade(config, conn, OLD_REVISION, shard)
    assert schema_revisions(folder) == {OLD_REVISION}

    told = dagster(tmp_path / "home", "instance", "migrate")
    assert "PooledSqliteEventLogStorage" in told
    assert f"Updating event log storage for {len(runs)} runs" in told
    (head,) = schema_revisions(folder)
    assert head == old.alembic_version()[1]
    with DagsterInstance.get() as instance:
        assert all(len(instance.all_logs(run_id)) > 5 for run_id in runs)
        assert materialize([alpha], instance=instance).success  # it has checks


def schema_revisions(folder: Path) -> set[str]:
    found = set()
    for path in folder.glob("*.db"):
        with connect(path) as db:
            found |= {row[0] for row in db.execute("select version_num from alembic_version")}
    return found


def test_planned_events_come_as_one_batch_if_dagster_is_told_to_make_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    real = PooledSqliteEventLogStorage.store_event_batch

    def counting(self: PooledSqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
        batches.append(len(events))
        real(self, events)

    monkeypatch.setattr(PooledSqliteEventLogStorage, "store_event_batch", counting)
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "1000")
    monkeypatch.setenv("DAGSTER_HOME", str(home_with(POOLED_YAML, tmp_path)))
    with DagsterInstance.get() as instance:
        result = materialize([alpha, beta, gamma], instance=instance, raise_on_error=False)
        kinds = [e.dagster_event_type for e in instance.all_logs(result.run_id)]
    assert batches == [5]  # three assets, two checks
    assert kinds.count(DagsterEventType.ASSET_MATERIALIZATION_PLANNED) == 3
    assert kinds.count(DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED) == 2


def test_without_a_folder_and_a_dagster_home_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(DagsterModelsError, match=r"DAGSTER_HOME is not set.*`base_dir`"):
        PooledSqliteEventLogStorage()


if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
