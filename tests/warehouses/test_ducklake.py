"""What is DuckLake's own: its extension, its settings, its snapshots, its conflicts, and kills."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.commit import Commit
from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.errors import ErrorKind, ProjectError, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util.dsn import dsn_parameters
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from dagster_models.warehouses.ducklake import extensions
from lives import Build, Kill, Life, Lives
from object_store import ObjectStore, started_store, why_no_store
from project_cases import load, write_project
from systems import NO_DUCKLAKE, System, ducklake_is_installed, ducklake_system
from tasks import sql_task

needs_ducklake = pytest.mark.skipif(not ducklake_is_installed(), reason=NO_DUCKLAKE)

TARGET = "targets:\n  lake: {{type: ducklake, {}}}\n"


def project(root: Path, settings: str) -> Path:
    text = f"name: p\n{TARGET.format(settings)}"
    return write_project(root, {"dagster_models.yaml": text, "models/a.sql": "select 1 as n"})


@contextmanager
def two_sessions(lake: System) -> Iterator[tuple[WarehouseSession, WarehouseSession]]:
    """With a DuckDB each, as in two processes."""
    with (
        closing(lake.open()) as one,
        closing(lake.open()) as other,
        closing(one.session()) as first,
        closing(other.session()) as second,
    ):
        yield first, second


# Settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("data: d", "target `lake` has no `postgres` or `sqlite`"),
        ("sqlite: c", "target `lake` has no `data`"),
        ("sqlite: c, postgres: '${X}', data: d", "has both `postgres` and `sqlite`"),
        ("postgres: 'postgresql://me:pw@h/d', data: d", "contains a password as plain text"),
    ],
)
def test_settings_that_lead_nowhere(tmp_path: Path, settings: str, what: str) -> None:
    with pytest.raises(ProjectError, match=what) as caught:
        load(project(tmp_path, settings))
    assert caught.value.problems[0].line == 3


def test_paths_start_at_the_project_and_urls_stay(tmp_path: Path) -> None:
    loaded = load(project(tmp_path, "sqlite: a/c.sqlite, data: s3://bucket/lake"))
    settings = loaded.targets["lake"].settings
    assert settings["sqlite"] == str(tmp_path / "a" / "c.sqlite")
    assert settings["data"] == "s3://bucket/lake"


def test_without_the_extension_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extensions, "packaged", lambda name: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(WarehouseError, match=r"pip install 'dagster-models\[ducklake\]'") as caught:
        ducklake_system(str(tmp_path)).open()
    assert (caught.value.kind, caught.value.name) == (
        ErrorKind.INVALID_SETTINGS,
        "ExtensionMissing",
    )


# On PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture
def lake(tmp_path: Path, postgres_dsn: str) -> System:
    return ducklake_system(str(tmp_path), postgres_dsn)


@pytest.fixture
def opened(lake: System) -> Iterator[OpenWarehouse]:
    with closing(lake.open()) as warehouse:
        yield warehouse


def task_of(attempt: int, rows: int = 3, name: str = "t") -> BuildTask:
    task = sql_task(f"s.{name}", f"select {attempt} as attempt, i from range({rows}) r(i)")
    return replace(task, attempt=attempt, builder="p", code_version="v1")


def built(session: WarehouseSession, task: BuildTask) -> Verdict:
    return run(session, task, Stop()).verdict


@needs_ducklake
def test_a_publication_is_a_snapshot_with_its_run_and_happens_once(opened: OpenWarehouse) -> None:
    with closing(opened.session()) as session:
        session.prepare(["s"])
        assert built(session, task_of(1)) is Verdict.COMMITTED
        (said,) = session.query(
            "select commit_extra_info from lake.snapshots() where author = 'dagster-models'"
        )[1]
        assert json.loads(said[0]) == {
            "run": "r",
            "step": "s.t",
            "attempt": 1,
            "code_version": "v1",
        }
        session.begin()
        with pytest.raises(WarehouseError, match="another process runs the same attempt"):
            session.write_record(Commit("r", "s.t", 1, "s.t", "v1", {}))
        session.rollback()


@needs_ducklake
@pytest.mark.parametrize(
    "form", ["postgresql://me:{url}@127.0.0.1:1/d", "host=127.0.0.1 port=1 user=me password={pair}"]
)
def test_no_error_and_no_query_shows_the_password(
    tmp_path: Path, postgres_dsn: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable that holds it is filled in by the process that reaches the catalog."""
    dsn = form.format(url="s3cr%27et", pair=r"'s3cr\'et'")
    with pytest.raises(WarehouseError, match="Connection refused") as caught:
        ducklake_system(str(tmp_path), dsn).open()
    assert "s3cr" not in str(caught.value)
    assert caught.value.kind is ErrorKind.UNREACHABLE
    password = dsn_parameters(postgres_dsn)["password"]
    monkeypatch.setenv("LAKE_CATALOG", postgres_dsn)
    lake = ducklake_system(str(tmp_path), "${LAKE_CATALOG}")
    with closing(lake.open()) as warehouse, closing(warehouse.session()) as session:
        shown = [
            session.query("select * from duckdb_databases()"),
            session.query("select secret_string from duckdb_secrets()"),
        ]
    assert password
    assert password not in str(shown)


@needs_ducklake
def test_of_two_processes_that_add_to_one_table_one_wins(lake: System) -> None:
    """Neither has seen the rows of the other, so one of them must not publish."""
    how = Incremental(strategy="append", code_version="v1")
    with two_sessions(lake) as (one, other):
        one.prepare(["s"])
        assert built(one, task_of(1)) is Verdict.COMMITTED
        tasks = [replace(task_of(n), materialization=how) for n in (2, 3)]
        staged = [session.build(task) for session, task in zip((one, other), tasks, strict=True)]
        commits = [Commit("r", "s.t", n, "s.t", "v1", {}, 3, builder="p") for n in (2, 3)]
        one.publish(staged[0], [commits[0]])
        with pytest.raises(WarehouseError) as caught:
            other.publish(staged[1], [commits[1]])
        assert (caught.value.kind, caught.value.transient) == (ErrorKind.CONFLICT, True)
        other.discard()
        assert other.query("select distinct attempt from s.t order by 1")[1] == [(1,), (2,)]
        assert other.last_proofs([Relation("s", "t")])[0].attempt == 2


@needs_ducklake
def test_a_column_changes_only_to_a_wider_type(opened: OpenWarehouse) -> None:
    how = Incremental(strategy="append", on_schema_change="sync_all_columns", code_version="v1")
    with closing(opened.session()) as session:
        session.prepare(["s"])
        for attempt, sql, verdict in (
            (1, "select cast(1 as integer) as n", Verdict.COMMITTED),
            (2, "select cast(2 as bigint) as n", Verdict.COMMITTED),
            (3, "select 'x' as n", Verdict.ROLLED_BACK),
            (4, "select cast(4 as smallint) as n", Verdict.ROLLED_BACK),
        ):
            task = replace(task_of(attempt), content=Query(sql), materialization=how)
            outcome = run(session, task, Stop())
            assert outcome.verdict is verdict
        assert outcome.error is not None
        assert "DuckLake only widens the type of a column" in outcome.error.message
        assert session.query("select typeof(n), n from s.t order by n")[1] == [
            ("BIGINT", 1),
            ("BIGINT", 2),
        ]


@needs_ducklake
def test_a_fence_waits_for_what_a_dead_process_has_sent(lake: System, postgres_dsn: str) -> None:
    impatient = replace(lake, settings={**lake.settings, "lock_timeout": 0.2})
    with closing(impatient.open()) as warehouse, closing(warehouse.session()) as session:
        session.prepare(["s"])
        assert session.fence("gone", 5)
        with psycopg.connect(postgres_dsn) as orphan:  # its COMMIT is still to come
            orphan.execute(
                "insert into ducklake_snapshot select max(snapshot_id) + 1, now(),"
                " max(schema_version), max(next_catalog_id), max(next_file_id)"
                " from ducklake_snapshot"
            )
            assert not session.fence("gone", 0.5)
            orphan.rollback()
        assert session.fence("gone", 5)


# On SQLite ---------------------------------------------------------------------------------------


@needs_ducklake
def test_writers_of_a_sqlite_catalog_take_turns(tmp_path: Path) -> None:
    with two_sessions(ducklake_system(str(tmp_path))) as (one, other):
        one.prepare(["s"])
        one.begin()
        one.replace_table(Relation("s", "t"), Query("select 1 as n"))
        found: list[Verdict] = []
        waiting = threading.Thread(target=lambda: found.append(built(other, task_of(2, name="u"))))
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive(), "it waits for its turn"
        one.commit()
        waiting.join(30)
        assert found == [Verdict.COMMITTED]
        one.begin()
        timer = threading.Timer(0.2, other.interrupt)
        timer.start()
        with pytest.raises(WarehouseError) as caught:
            other.begin()
        timer.join()
        assert caught.value.kind is ErrorKind.INTERRUPTED


@needs_ducklake
def test_what_is_loaded_takes_its_turn(tmp_path: Path) -> None:
    with two_sessions(ducklake_system(str(tmp_path))) as (building, loading):
        building.prepare(["s"])
        path, _ = building.export("select 2 as n", [str(tmp_path)])
        building.begin()
        building.replace_table(Relation("s", "t"), Query("select 1 as n"))
        timer = threading.Timer(0.3, building.commit)
        timer.start()
        assert loading.load(path, "s.u", "replace") == 1
        timer.join()
        assert loading.query("select t.n, u.n from s.t, s.u")[1] == [(1, 2)]


# In an object store -------------------------------------------------------------------------------


@needs_ducklake
@pytest.mark.nightly
@pytest.mark.timeout(300)
@pytest.mark.skipif(bool(why_no_store()), reason=why_no_store())
@pytest.mark.parametrize("credentials", ["environment", "secret"])
def test_a_lake_whose_files_are_in_an_object_store(
    tmp_path: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    """With the keys of the environment, or of a secret that DuckDB keeps for the user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with started_store() as store:
        if credentials == "environment":
            for name, value in store.environment.items():
                monkeypatch.setenv(name, value)
        else:
            keep_secret(store)
        data = f"s3://{store.bucket}/flights"
        settings = {"postgres": postgres_dsn, "data": data}
        how = Incremental(strategy="append", code_version="v1")
        with two_sessions(System("ducklake", settings, "", "")) as (one, other):
            one.prepare(["s"])
            assert built(one, task_of(1, rows=10_000)) is Verdict.COMMITTED
            added = replace(task_of(2, rows=10_000), materialization=how)
            assert built(other, added) is Verdict.COMMITTED
            fails = CheckTask("fails", f"select * from {OWN_RELATION} as x", "error")
            refused = replace(task_of(3, rows=10_000), materialization=how, checks=(fails,))
            assert built(one, refused) is Verdict.ROLLED_BACK
            query = "select attempt, count(*) from s.t group by 1 order by 1"
            assert one.query(query)[1] == [(1, 10_000), (2, 10_000)]
            assert [it.attempt for it in one.find_proofs(Relation("s", "t"))] == [1, 2]
        published = [it for it in store.objects() if it.startswith("flights/s/t/")]
        assert len(published) >= 2
        assert not (tmp_path / "s3:").exists()


def keep_secret(store: ObjectStore) -> None:
    """As docs/warehouses.md says it."""
    with closing(duckdb.connect()) as connection:
        extensions.load(connection, "httpfs")
        connection.execute(
            "create persistent secret lakes (type s3, key_id 'key', secret 'secret',"
            f" endpoint '127.0.0.1:{store.port}', use_ssl false, url_style 'path',"
            f" region 'us-east-1', scope 's3://{store.bucket}')"
        )


# Kills -------------------------------------------------------------------------------------------

_LAST_SNAPSHOT = (
    "select commit_extra_info from lake.snapshots() where author = 'dagster-models'"
    " order by snapshot_id desc limit 1"
)
BUILDS_AT_ONCE = 10
KILLS = int(os.environ.get("DAGSTER_MODELS_TEST_LAKE_KILLS", "200"))


def last_of(life: Life) -> int:
    """The attempt that the table, the records and the snapshot all name."""
    table = {int(row["attempt"] or 0) for row in life.began.table or ()}
    records = [int(record[0]) for record in life.began.records]
    (said,) = life.answers
    snapshots = [json.loads(row[0])["attempt"] for row in said]
    last = max(records, default=0)
    assert table == ({last} if records else set())
    assert snapshots == ([last] if records else [])
    assert records == sorted(set(records)), "an attempt has been published twice"
    return last


@needs_ducklake
@pytest.mark.timeout(1800)  # two hundred lives take minutes on a machine that is busy
@pytest.mark.parametrize("kills", [3, pytest.param(KILLS, marks=pytest.mark.nightly)])
def test_a_killed_process_leaves_table_record_and_snapshot_that_agree(
    lives: Lives, lake: System, kills: int
) -> None:
    """At random moments, of which a third are within its attach and its first build."""
    seeded, last, first, met, unheard = random.Random(15), 0, 1, 0, 0
    life = lives.begin(lake, [_LAST_SNAPSHOT], fresh=True)
    for _ in range(kills):
        builds = [Build(task_of(first + n, rows=20_000)) for n in range(40)]
        work = life.work(builds, Kill(seconds=seeded.uniform(0, 1.2)))
        met += work.ended == -9
        assert {outcome.verdict for outcome, _ in work.done} <= {Verdict.COMMITTED}
        acknowledged = work.done[-1][0].attempt if work.done else last
        begun = first + len(work.done)
        life = lives.begin(lake, [_LAST_SNAPSHOT])
        last = last_of(life)
        assert last in (acknowledged, begun)
        unheard += last == begun
        first = begun + 1  # an attempt that was lost is not tried again under its number
    life.work()
    assert met >= kills * 0.8
    print(f"{met} kills, {unheard} between COMMIT and its answer, 0 disagreements")


@needs_ducklake
@pytest.mark.nightly
def test_two_processes_at_once_are_told_what_the_lake_has(lake: System) -> None:
    """Both build s.t, again and again: what conflicts in vain was not published."""
    told: dict[int, Verdict] = {}

    def build(first: int) -> None:
        with closing(Lives()) as lives:
            tasks = [Build(task_of(first + 2 * n, rows=20_000)) for n in range(BUILDS_AT_ONCE)]
            life = lives.begin(lake)
            barrier.wait()
            for outcome, _ in life.work(tasks).done:
                told[outcome.attempt] = outcome.verdict

    with closing(Lives()) as lives:
        lives.begin(lake, fresh=True).work([Build(task_of(1))])
        barrier = threading.Barrier(2)
        threads = [threading.Thread(target=build, args=(first,)) for first in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        life = lives.begin(lake, [_LAST_SNAPSHOT])
        published = {attempt for attempt, verdict in told.items() if verdict is Verdict.COMMITTED}
        assert {record[0] for record in life.began.records} == {1, *published}
        assert len(told) == 2 * BUILDS_AT_ONCE
        assert len(published) >= BUILDS_AT_ONCE, "one of two always goes on"
        life.work()
    print(f"{len(published)} of {len(told)} builds of one table were published")
