"""What only Iceberg tables on Spark do: the catalog decides, and pyiceberg is the oracle."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.spark import catalog, iceberg_log, iceberg_sql
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark.iceberg_schema import widened
from dagster_models.warehouses.spark.table_log import TableLog
from sail_server import SailServer
from systems import (
    System,
    T,
    catalog_at,
    create,
    given_up,
    rows_of_version,
    session_of,
    spark_system,
)
from tasks import arrow_task, sql_task

pytest.importorskip("pyiceberg")
from pyiceberg.table import DataScan

TASK = sql_task("s.t", "select 'new' as n", builder="b")


@pytest.fixture
def system(sail: SailServer, location: str) -> System:
    return spark_system(sail.settings, location, "iceberg")


@pytest.fixture
def settings(system: System) -> dict[str, Any]:
    return system.settings


def table_at(location: str) -> Any:
    return catalog_at(location).load_table("s.t")


def load(session: spark.SparkSession, tmp_path: Path, rows: Any, mode: str) -> int:
    path, _ = bulk.write([str(tmp_path)], rows.schema, rows.to_batches())
    return session.load(path, "s.t", mode)


def test_metadata_that_the_catalog_does_not_name_is_not_read(
    session: spark.SparkSession, settings: dict[str, Any], location: str
) -> None:
    """As of a process that was killed on its way to the catalog. Sail by itself reads it."""
    create(session, "table", "select 'first' as n")
    first = table_at(location).metadata_location.removeprefix("file://")
    create(session, "table", "select 'second' as n")
    shutil.copy(first, Path(first).with_name(f"00099-{Path(first).name.partition('-')[2]}"))
    assert session.query(f"select n from iceberg.`{location}/s/t`")[1] == [("first",)]
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        for reader in (session, other):
            assert reader.query("select n from s.t")[1] == [("second",)]


def test_a_commit_of_somebody_else_is_read_and_a_later_build_replaces_it(
    session: spark.SparkSession, location: str
) -> None:
    create(session, "table", "select 1L as n")
    table_at(location).append(pa.table({"n": pa.array([2], pa.int64())}))
    assert session.query("select n from s.t order by n")[1] == [(1,), (2,)]
    how = Incremental("append")
    added = replace(sql_task("s.t", "select 3L as n"), materialization=how)
    assert run(session, added, Stop()).error is None
    rows = table_at(location).scan().to_arrow().column("n").to_pylist()
    assert sorted(rows) == [1, 2, 3]
    create(session, "table", "select 4L as n")
    assert session.query("select n from s.t")[1] == [(4,)]


def test_older_versions_show_columns_that_went_and_came_back(
    session: spark.SparkSession, location: str
) -> None:
    create(session, "table", "select 1 as a, array(named_struct('x', 1)) as b")
    create(session, "table", "select 'text' as c")
    create(session, "table", "select array(named_struct('x', 2)) as b, 2 as a")
    assert rows_of_version(location, 1).to_pylist() == [{"a": 1, "b": [{"x": 1}]}]
    assert rows_of_version(location, 2).to_pylist() == [{"c": "text"}]
    assert table_at(location).scan().to_arrow().to_pylist() == [{"b": [{"x": 2}], "a": 2}]
    schemas = table_at(location).schemas()
    first, last = ({it.name: it.field_id for it in schemas[at].fields} for at in (0, 2))
    assert first == last


def test_small_integers_are_stored_as_integers_and_stay_so_in_an_increment(
    session: spark.SparkSession, tmp_path: Path
) -> None:
    sql = "select cast(1 as tinyint) as a, array(cast(2 as smallint)) as b,\n 3 as c"
    how = Incremental("append")
    for attempt in (1, 2):
        task = replace(sql_task("s.t", sql), materialization=how, attempt=attempt)
        assert run(session, task, Stop()).error is None
    assert session.columns(T) == (("a", "int"), ("b", "array<int>"), ("c", "int"))
    assert session.query("select a, c from s.t")[1] == [(1, 3)] * 2
    bad = "select cast(1 as tinyint) as a,\n cast('x' as int) as c, nope"
    with pytest.raises(WarehouseError) as caught:
        create(session, "table", bad)
    assert caught.value.line == 2
    rows = pa.table({"n": pa.array([1], pa.int8()), "m": pa.array([2], pa.uint8())})
    path, _ = bulk.write([str(tmp_path)], rows.schema, rows.to_batches())
    outcome = run(session, replace(arrow_task("s.t", path), attempt=3), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert session.columns(T) == (("n", "int"), ("m", "int"))


@pytest.mark.parametrize(
    ("type_", "stored"),
    [
        ("tinyint", "int"),
        ("SMALLINT", "int"),
        (
            "struct<tinyint:tinyint,smallint:array<smallint>>",
            "struct<tinyint:int,smallint:array<int>>",
        ),
        ("map<tinyint,bigint>", "map<int,bigint>"),
        ("bigint", "bigint"),
    ],
)
def test_a_type_is_widened_and_the_name_of_a_field_is_not(type_: str, stored: str) -> None:
    assert widened(type_) == stored


def test_rows_are_added_by_user_code_if_their_columns_are_those_of_the_table(
    session: spark.SparkSession, location: str, tmp_path: Path
) -> None:
    assert load(session, tmp_path, pa.table({"n": ["one"]}), "replace") == 1
    assert load(session, tmp_path, pa.table({"n": ["two"]}), "append") == 1
    with pytest.raises(WarehouseError) as caught:
        load(session, tmp_path, pa.table({"n": [1]}), "append")
    assert caught.value.kind is ErrorKind.BAD_COLUMN
    assert session.query("select n from s.t order by n")[1] == [("one",), ("two",)]
    assert table_at(location).scan().to_arrow().num_rows == 2
    assert session.last_proofs() == []


def test_a_build_that_was_overtaken_is_not_committed_on_top_of_what_came_first(
    session: spark.SparkSession, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyiceberg would do that, where somebody has changed the table's properties."""
    create(session, "table", "select 1 as n")
    with table_at(location).transaction() as change:
        change.remove_properties("commit.retry.num-retries")
    refuse, overtaken = TableLog.refuse_second, [False]

    def overtake(self: TableLog, *arguments: Any) -> None:
        """The log was read, and nothing is committed yet."""
        if not overtaken[0]:
            overtaken[0] = True
            table_at(location).append(pa.table({"n": pa.array([2], pa.int32())}))
        refuse(self, *arguments)

    monkeypatch.setattr(TableLog, "refuse_second", overtake)
    added = replace(sql_task("s.t", "select 3 as n"), materialization=Incremental("append"))
    assert run(session, added, Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t order by n")[1] == [(1,), (2,), (3,)]


def test_two_sessions_of_a_process_do_not_overtake_each_other(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share what was read of the table, which pyiceberg changes when it commits."""
    refuse, overtaken = TableLog.refuse_second, [False]
    added = replace(sql_task("s.t", "select 2 as n"), materialization=Incremental("append"))
    with contextlib.closing(spark.connect(settings)) as warehouse, session_of(warehouse) as one:
        one.prepare(["s"])
        create(one, "table", "select 1 as n")

        def overtake(self: TableLog, *arguments: Any) -> None:
            refuse(self, *arguments)
            if not overtaken[0]:
                overtaken[0] = True
                with session_of(warehouse) as other:
                    assert run(other, added, Stop()).verdict is Verdict.COMMITTED

        monkeypatch.setattr(TableLog, "refuse_second", overtake)
        task = replace(added, content=Query("select 3 as n"), attempt=2)
        assert run(one, task, Stop()).verdict is Verdict.COMMITTED
        assert one.query("select n from s.t order by n")[1] == [(1,), (2,), (3,)]


def test_a_partitioned_table_of_somebody_else_is_refused(
    session: spark.SparkSession, location: str
) -> None:
    create(session, "table", "select 1 as n")
    with table_at(location).update_spec() as change:
        change.add_identity("n")
    outcome = run(session, TASK, Stop())
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.name) == (ErrorKind.UNSUPPORTED, "ForeignTable")
    assert session.query("select n from s.t")[1] == [(1,)]


def test_rows_that_a_delete_file_deletes_do_not_come_back(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other engines delete rows so; pyiceberg writes no such file, and plans one here."""
    create(session, "table", "select 1 as n")
    plan = DataScan.plan_files

    def with_deletes(scan: DataScan) -> Any:
        for it in plan(scan):
            it.delete_files = {it.file}
            yield it

    monkeypatch.setattr(DataScan, "plan_files", with_deletes)
    task = sql_task("s.t", "select 2 as n", attempt=2)
    error = run(session, replace(task, materialization=Incremental("append")), Stop()).error
    assert error is not None
    assert (error.kind, error.name) == (ErrorKind.UNSUPPORTED, "ForeignFiles")
    assert session.query("select n from s.t")[1] == [(1,)]


def test_a_dropped_table_is_one_that_the_catalog_has_no_more(
    session: spark.SparkSession, location: str
) -> None:
    run(session, TASK, Stop())
    session.drop(T, "b")
    assert catalog_at(location).list_tables("s") == []
    assert not Path(location, "s/t").exists()
    assert run(session, replace(TASK, attempt=2), Stop()).verdict is Verdict.COMMITTED


def test_what_spark_was_shown_goes_when_nobody_reads_it_any_more(
    session: spark.SparkSession, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> list[str]:
        return [it.name for it in Path(location, "s/t").glob("shown-*")]

    for n in range(3):
        create(session, "table", f"select {n} as n")
    assert len(shown()) == 3
    monkeypatch.setattr(iceberg_log, "_SHOWN_SECONDS", -1)
    create(session, "table", "select 4 as n")
    assert len(shown()) == 0
    monkeypatch.undo()
    create(session, "table", "select 5 as n")
    assert session.query("select n from s.t")[1] == [(5,)]


def test_spark_forgets_tables_of_what_it_is_shown_no_more(
    session: spark.SparkSession, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tables() -> set[str]:
        return {name for _, name, _ in session.execute("show tables in dagster_models_files")}

    create(session, "table", "select 1 as n")
    create(session, "table", "select 2 as n")
    session.execute(
        "create table dagster_models_files.theirs using delta"
        f" location '{Path(location).parent}/theirs' as select 1 as n"
    )
    shutil.rmtree(Path(location).parent / "theirs")
    first = tables()
    assert len(first) == 3
    monkeypatch.setattr(catalog, "_CLEAN_SECONDS", -1)
    session.catalog._cleans_at = 0.0
    assert tables() == first  # somebody may be reading the first version still
    monkeypatch.setattr(iceberg_log, "_SHOWN_SECONDS", -1)
    create(session, "table", "select 3 as n")
    monkeypatch.undo()
    create(session, "table", "select 4 as n")
    session.catalog._cleans_at = 0.0
    session.query("select 1 as n")
    assert tables() & first == {"theirs"}
    assert session.query("select n from s.t")[1] == [(4,)]


def test_a_table_whose_metadata_is_not_here_leaves_no_folders(
    session: spark.SparkSession, location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of somebody else in an object store, which each look at the catalog meets."""
    create(session, "table", "select 1 as n")

    def refuse(*arguments: object) -> None:
        raise OSError("no such file")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("shutil.copyfile", refuse)
    shown = set(Path(location, "s/t").glob("shown-*"))
    table_at(location).append(pa.table({"n": pa.array([2], pa.int32())}))
    with pytest.raises(WarehouseError, match="no such file"):
        session.location.log(T).shown()
    assert set(Path(location, "s/t").glob("shown-*")) == shown


def test_a_catalog_in_postgres_needs_its_driver(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(WarehouseError, match=r"dagster-models\[postgres\]") as caught:
        spark.connect({**settings, "catalog": "postgresql://u@localhost:1/d"})
    assert caught.value.name == "NotInstalled"


@pytest.mark.timeout(60)
def test_a_catalog_that_does_not_answer_is_given_up(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_sql, "_CONNECT_SECONDS", 2)  # libpq's least
    with socket.create_server(("127.0.0.1", 0)) as silent:
        catalog = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        with pytest.raises(WarehouseError, match="timeout") as caught:
            spark.connect({**settings, "catalog": catalog})
    assert (caught.value.kind, caught.value.transient) == (ErrorKind.UNREACHABLE, True)


@pytest.mark.slow
def test_the_catalog_may_be_in_postgres(sail: SailServer, location: str, postgres_dsn: str) -> None:
    settings = {**sail.settings, "location": location, "format": "iceberg"}
    settings |= {"catalog": postgres_dsn, "catalog_name": "lake"}
    with contextlib.closing(spark.connect(settings)) as warehouse, session_of(warehouse) as session:
        session.prepare(["s"])
        create(session, "table", "select 'old' as n")
        with given_up(warehouse, session, TASK) as (lost, staged):
            with pytest.raises(WarehouseError, match="given up by another process"):
                lost.publish(staged, commits_of(TASK, staged))
            staged = lost.build(TASK)
            create(session, "table", "select 'theirs' as n")
            lost.discard()
        assert session.query("select n from s.t")[1] == [("theirs",)]
        assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
        session.drop(T, "b")
        assert session.there([T]) == []


@pytest.mark.slow
def test_a_connection_to_the_catalog_that_has_ended_is_opened_again(
    sail: SailServer, location: str, postgres_dsn: str
) -> None:
    settings = {**sail.settings, "location": location, "format": "iceberg"}
    warehouse = spark.connect({**settings, "catalog": postgres_dsn})
    with contextlib.closing(warehouse), session_of(warehouse) as session:
        session.prepare(["s"])
        staged = session.build(TASK)
        with psycopg.connect(postgres_dsn, autocommit=True) as server:
            ended = server.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            ).fetchall()
        assert (True,) in ended
        session.publish(staged, commits_of(TASK, staged))
        assert session.query("select n from s.t")[1] == [("new",)]


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"format": "hudi"}, ErrorKind.INVALID_SETTINGS, "`delta` or `iceberg`"),
        ({"catalog": ""}, ErrorKind.INVALID_SETTINGS, "needs `catalog`"),
        ({"catalog": "mysql://localhost:1/d"}, ErrorKind.INVALID_SETTINGS, "SQLite or PostgreSQL"),
        ({"catalog": "http://localhost:1"}, ErrorKind.UNREACHABLE, "refused"),
        ({"catalog": "postgresql://u:p@h:x/d"}, ErrorKind.INVALID_SETTINGS, "is the port a number"),
        ({"catalog": "postgresql:"}, ErrorKind.INVALID_SETTINGS, "is no URL"),
        ({"catalog": "sqlite:////nowhere/c.db"}, ErrorKind.UNREACHABLE, "cannot be reached"),
    ],
)
def test_settings_that_lead_to_no_catalog(
    settings: dict[str, Any], changed: dict[str, str], kind: ErrorKind, said: str
) -> None:
    with pytest.raises(WarehouseError, match=said) as caught:
        spark.connect({**settings, **changed})
    assert caught.value.kind is kind


def test_a_locked_catalog_is_worth_another_try(
    session: spark.SparkSession, settings: dict[str, Any], location: str
) -> None:
    create(session, "table", "select 'old' as n")
    catalog = f"{settings['catalog']}?timeout=0"
    impatient = spark.connect({**settings, "catalog": catalog})
    with contextlib.closing(impatient), session_of(impatient) as other:
        staged = other.build(TASK)
        file = settings["catalog"].removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as somebody:
            somebody.execute("begin exclusive")
            with pytest.raises(WarehouseError) as caught:
                other.publish(staged, [])
        assert (caught.value.kind, caught.value.transient) == (ErrorKind.UNREACHABLE, True)
    assert session.query("select n from s.t")[1] == [("old",)]
