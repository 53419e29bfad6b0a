"""The pooled event log storage as a Dagster home and the executor use it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dagster import (
    AssetKey,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    EventLogEntry,
    materialize,
)
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import get_alembic_config, run_alembic_downgrade

from dagster_models._dagster.step_generator import ParkedStep, exhaust
from dagster_models._dagster.storage import PooledSqliteEventLogStorage
from dagster_models.errors import DagsterModelsError
from event_logs import POOLED_YAML, STOCK_YAML, alpha, beta, connect, event, gamma, numbers, stock
from running import make_project

pytestmark = pytest.mark.timeout(180)


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


#: The revision before asset checks and concurrency limits had tables.
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

    output = dagster(tmp_path / "home", "instance", "migrate")
    assert "PooledSqliteEventLogStorage" in output
    assert f"Updating event log storage for {len(runs)} runs" in output
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


def test_steps_that_end_together_are_stored_together(
    pooled: PooledSqliteEventLogStorage, tmp_path: Path
) -> None:
    """A step that raises does not keep the others from being exhausted and stored."""
    others = stock(tmp_path / "runs")
    context: Any = SimpleNamespace(run_id="run", instance=SimpleNamespace(event_log_storage=pooled))
    seen: list[list[int]] = []

    def ending(number: int) -> Iterator[Any]:
        pooled.store_event(event("run", number))
        seen.append(numbers(others, "run"))
        if number == 2:
            raise ValueError("of step 2")
        yield end

    start, end = (DagsterEvent(f"STEP_{it}", "a_job") for it in ("START", "SKIPPED"))
    steps = [ParkedStep(context, 0.0, start, ending(number)) for number in (1, 2, 3)]
    pooled.store_event(event("run", 0))
    assert exhaust(steps[:1]) == [[end]]
    with pytest.raises(ValueError, match="of step 2"):
        exhaust(steps[1:])
    assert seen == [[0], [0, 1], [0, 1]]
    assert numbers(others, "run") == [0, 1, 2, 3]


def test_steps_that_start_together_are_stored_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One commit is one wait for the disk, and the queries begin before it is over."""
    os.mkfifo(tmp_path / "pipe")
    columns = "auto_detect = false, header = true, columns = {id: 'int'}"
    last = f"select id from read_csv('{tmp_path / 'pipe'}', {columns})"
    texts = {f"models/m{n}.sql": "select 1 as id" for n in range(4)} | {"models/m4.sql": last}
    project = make_project(tmp_path, texts)
    (project.home / "dagster.yaml").write_text(POOLED_YAML)
    project.write({"definitions.py": COUNTING})
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    assert project.run({"max_concurrent": 5}).code == 0
    commits = [line.split() for line in (project.root / "commits").read_text().splitlines()]
    starts = [commit for commit in commits if "STEP_START" in commit]
    assert starts == [["STEP_START"] * 5]


#: Writes down the step events of each commit, and lets no STEP_START be committed before somebody
#: reads the pipe.
COUNTING = """
import threading
from pathlib import Path
from dagster_models import load_project
from dagster_models._dagster import shards, storage

here = Path(__file__).parent
stored = []
transaction, store = shards._transaction, storage.PooledSqliteEventLogStorage.store_event

def write():
    (here.parent / "pipe").write_text("id\\n1\\n")

@shards.contextlib.contextmanager
def counting(shard):
    with transaction(shard) as connection:
        yield connection
        if "STEP_START" in stored and "index" not in shard.path:
            writer = threading.Thread(target=write, daemon=True)
            writer.start()
            writer.join(30)
            assert not writer.is_alive(), "no query has begun"
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
