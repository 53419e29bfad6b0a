"""The pooled event log storage keeps what the stock class promises, while connections stay open.

Everything is compared with Dagster's own class, on real files.
"""

from __future__ import annotations

import gc
import os
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    materialize,
    serialize_value,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from dagster_models._dagster.shards import MAX_OPEN_SHARDS
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from event_logs import (
    STOCK_YAML,
    alpha,
    beta,
    connect,
    event,
    gamma,
    materialized,
    numbers,
    one_by_one,
    stock,
    tables,
)

pytestmark = pytest.mark.timeout(180)


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


def in_batches(storage: SqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
    """Store in batches of an odd size, which hold all kinds of events and cross runs."""
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


def test_the_stock_class_writes_the_same_rows_while_it_is_held_open(
    recorded: Sequence[EventLogEntry], tmp_path: Path
) -> None:
    theirs, ours = stock(tmp_path / "stock"), stock(tmp_path / "open")
    one_by_one(theirs, recorded)
    before, during, after = recorded[:5], recorded[5:-5], recorded[-5:]
    one_by_one(ours, before)
    with PooledSqliteEventLogStorage.in_place_of(ours):
        one_by_one(ours, during[:10])
        for run_id, of_run in groupby(during[10:], key=lambda entry: entry.run_id):
            with ours.one_commit(run_id):  # type: ignore[attr-defined]
                one_by_one(ours, list(of_run))
    one_by_one(ours, after)
    assert tables(tmp_path / "open") == tables(tmp_path / "stock")


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
    """A yes is kept as long as the file is the same one; after a no, it asks again."""
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
    """A storage that remembers reads them while others write, wipe and write old forms."""
    theirs = stock(tmp_path / "runs")
    keys = [AssetKey("alpha"), AssetKey("beta"), AssetKey("elsewhere")]

    def both_find(alpha: bool) -> None:
        for _ in range(2):
            for asked in (None, [], keys * 40, keys[:1], keys[::-1], keys):
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
    # A materialisation from before the wipe is stored late, and what follows shows the asset again.
    theirs.store_event(event("late", 1, "alpha"))
    planned = next(e for e in recorded if e.dagster_event_type == PLANNED)
    theirs.store_event(planned._replace(timestamp=time.time() + 1))
    both_find(alpha=False)
    theirs.store_event(event("later", 1, "alpha")._replace(timestamp=time.time() + 2))
    both_find(alpha=True)


@pytest.mark.parametrize(("wiped", "count"), [("2001-01-01", 1), ("2999-01-01", 0)])
def test_an_asset_that_was_wiped_after_its_last_event_is_not_there(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path, wiped: str, count: int
) -> None:
    pooled.store_event(event("run", 1, "alpha"))
    with pooled.index_connection() as conn:
        conn.execute(sqlalchemy.text("update asset_keys set wipe_timestamp = :w"), {"w": wiped})
    found = pooled.get_asset_records([AssetKey("alpha")])
    assert found == stock(tmp_path / "runs").get_asset_records([AssetKey("alpha")])
    assert len(found) == count


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
    assert "run" not in pooled._shards.names()  # a doubtful connection is not used again
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
        assert numbers(pooled, "run") == [0, 1, 2]  # the same thread sees what it stored
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
    storage.store_event(event("run0", 99))  # allowed after dispose, as in the stock class
    assert numbers(storage, "run0") == [0, 99]
    storage.dispose()


def test_a_storage_that_is_forgotten_closes_its_files(tmp_path: Path) -> None:
    gc.collect()
    before = open_files()
    storage = PooledSqliteEventLogStorage(str(tmp_path))
    storage.store_event(event("run", 0, "alpha"))
    assert open_files() > before
    shards = storage._shards
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        del storage
        gc.collect()
    assert shards.names() == (), "left to the garbage collector"
    assert open_files() == before
    assert not warned
