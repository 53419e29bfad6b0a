"""What adds to a table on MariaDB: each build is one transaction with its record, and leaves what
plain Python says."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.check_tasks import OWN_RELATION, OWN_WINDOW, CheckTask
from dagster_models.core.extras import Extras, Index
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Since,
)
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import SINCE, Query
from dagster_models.core.windows import Partition, TimeWindow, ValueWindow
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.mariadb import session as mariadb
from dagster_models.warehouses.mariadb.types import fits
from incremental_oracle import Row, expected, query_of, random_rows
from mariadb_server import MariaServer
from project_cases import write_project
from running import DEFINITIONS
from systems import T, session_of
from tasks import arrow_task, sql_task

#: Random histories of each strategy.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_MARIADB_HISTORIES", "2"))
UTC = dt.timezone.utc
Build = Callable[..., Outcome]
pytestmark = pytest.mark.nightly


@pytest.fixture
def warehouse(mariadb: MariaServer) -> Iterator[mariadb.MariaDB]:
    warehouse = mariadb_of(mariadb)
    yield warehouse
    warehouse.close()


def mariadb_of(server: MariaServer, **settings: Any) -> Any:
    return mariadb.connect({**server.settings, "lock_timeout": 1, **settings})


@pytest.fixture
def session(warehouse: mariadb.MariaDB) -> Iterator[mariadb.MariaSession]:
    with session_of(warehouse) as session:
        session.prepare(["s"])
        yield session  # type: ignore[misc]


@pytest.fixture
def build(session: mariadb.MariaSession) -> Build:
    attempt = 0

    def build(sql: str, how: Materialization, full: str = "", **more: Any) -> Outcome:
        nonlocal attempt
        attempt += 1
        task = replace(sql_task("s.t", sql), materialization=how, attempt=attempt, **more)
        return run(session, replace(task, content=Query(sql, full)), Stop())

    return build


def rows(session: mariadb.MariaSession, columns: str = "*") -> list[Row]:
    return sorted(session.query(f"select {columns} from s.t")[1], key=str)


def values(*given: Row) -> str:
    return query_of("char(9)", *given)


def left(server: MariaServer) -> list[str]:
    found = server.rows(
        "select schema_name from information_schema.schemata"
        " where schema_name like 'dagster\\_models\\_stage%'"
    )
    return [name for (name,) in found]


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_random_histories(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build, strategy: str
) -> None:
    """Rows with NULLs and duplicates, composite keys, reruns and full refreshes."""
    table: list[Row] | None = None
    published = 0
    for seed in range(HISTORIES):
        r = random.Random(f"{strategy} {seed}")
        given: list[Row] = []
        for step in range(6):
            if r.random() < 0.8:  # else the same rows once more
                given = random_rows(r, strategy)
            key = () if strategy == "append" else ("k", "l")
            how = Incremental(strategy, key, full_refresh=r.random() < 0.1)
            outcome = build(values(*given), how)
            does, what = expected(how, table, given)
            story = (strategy, seed, step, given, table)
            if does == "fails":
                assert outcome.error is not None, story
                assert (outcome.verdict, outcome.error.name) == (Verdict.ROLLED_BACK, what), story
            else:
                table, changes = what
                assert outcome.error is None, (story, outcome.error)
                assert outcome.changes == changes, story
                published += 1
            if table is not None:
                assert rows(session) == sorted(table, key=str), story
    count = "select count(*) from dagster_models.commits where is_published"
    assert mariadb.rows(count) == [(published,)]
    assert left(mariadb) == []


# What a build is ---------------------------------------------------------------------------------

MERGE = Incremental("merge", ("k",))


def test_rows_and_record_are_one_transaction_of_the_table_that_is_there(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    """Indexes, triggers and foreign keys of the table stay: it is not replaced."""
    build("select 1 as k, 10 as v", MERGE)
    session.execute("create unique index mine on s.t (k)")
    session.execute("create table s.log (n int)")
    session.execute(
        "create trigger s.x after insert on s.t for each row insert into s.log values (1)"
    )
    staged = session.build(
        replace(sql_task("s.t", "select 2 as k, 20 as v"), materialization=MERGE, attempt=9)
    )
    assert mariadb.rows("select k from s.t") == [(1,)]
    assert mariadb.rows("select attempt from dagster_models.commits") == [(1,)]
    assert session.query(f"select k from {session.name_of(staged)} order by k")[1] == [(1,), (2,)]
    session.discard()
    assert mariadb.rows("select count(*) from s.log") == [(0,)]
    assert build("select 2 as k, 20 as v", MERGE).changes == Changes("delta", None, 1, 0, 0)
    assert mariadb.rows("select k from s.t order by k") == [(1,), (2,)]
    assert mariadb.rows("select count(*) from s.log") == [(1,)]
    found = "select index_name from information_schema.statistics where table_schema = 's'"
    assert mariadb.rows(f"{found} and table_name = 't'") == [("mine",)]
    assert left(mariadb) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_session_that_is_lost_at_the_commit_is_settled_by_the_record(
    mariadb: MariaServer,
    session: mariadb.MariaSession,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    build("select 1 as k, 10 as v", MERGE)
    commit = type(session).commit

    def cut(self: Any) -> None:
        if moment == "after":
            commit(self)
        mariadb.rows(f"kill connection {self._connection.thread_id()}")
        self.change("select 1")

    task = replace(sql_task("s.t", "select 2 as k, 20 as v"), materialization=MERGE, attempt=9)
    monkeypatch.setattr(type(session), "commit", cut)
    if moment == "after":
        assert run(session, task, Stop()).verdict is Verdict.COMMITTED
    else:
        with pytest.raises(WarehouseLost):
            run(session, task, Stop())
    monkeypatch.undo()
    assert (find_proof(session, T, task.id) is not None) is (moment == "after")
    assert len(mariadb.rows("select k from s.t")) == 1 + (moment == "after")
    assert left(mariadb) == []


def test_an_attempt_is_published_once_and_two_builds_take_turns(
    warehouse: mariadb.MariaDB, session: mariadb.MariaSession, build: Build
) -> None:
    how = Incremental("append")
    build("select 1 as k", how)
    task = replace(sql_task("s.t", "select 2 as k"), materialization=how, attempt=9)
    staged = session.build(task)
    with contextlib.closing(warehouse.session()) as other:
        waits = run(other, replace(task, attempt=10), Stop())
        assert waits.error is not None
        assert (waits.error.kind, waits.error.transient) == (ErrorKind.LOCK_TIMEOUT, True)
        session.publish(staged, commits_of(task, staged))
        twice = run(other, task, Stop())
        assert twice.verdict is Verdict.COMMITTED  # its proof is there
        assert run(other, replace(task, attempt=10), Stop()).error is None
    assert rows(session) == [(1,), (2,), (2,)]


def test_a_build_that_waits_for_its_turn_can_be_canceled(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    how = Incremental("append")
    build("select 1 as k", how)
    task = replace(sql_task("s.t", "select 2 as k"), materialization=how, attempt=9)
    session.build(task)
    patient = mariadb_of(mariadb, lock_timeout=60)
    with contextlib.closing(patient.session()) as other:
        stop, outcomes = Stop(), list[Outcome]()
        waiting = threading.Thread(
            target=lambda: outcomes.append(run(other, replace(task, attempt=10), stop))
        )
        waiting.start()
        shown = "select count(*) from information_schema.processlist where state = 'User lock'"
        while mariadb.rows(shown) == [(0,)]:
            assert waiting.is_alive()
        stop.ask(other.interrupt)
        waiting.join(30)
        assert [it.verdict for it in outcomes] == [Verdict.CANCELED]
    session.discard()
    assert rows(session) == [(1,)]


def test_a_session_that_was_given_up_cannot_publish(
    warehouse: mariadb.MariaDB, session: mariadb.MariaSession, build: Build
) -> None:
    how = Incremental("append")
    build("select 1 as k", how)
    task = replace(sql_task("s.t", "select 2 as k"), materialization=how, attempt=9)
    with contextlib.closing(warehouse.session("lost")) as lost:
        staged = lost.build(task)
        assert session.fence("lost", 5, T)
        with pytest.raises(WarehouseLost):
            lost.publish(staged, commits_of(task, staged))
    assert find_proof(session, T, task.id) is None
    assert run(session, task, Stop()).error is None
    assert rows(session) == [(1,), (2,)]


def test_rows_of_other_tables_do_not_change_along(
    session: mariadb.MariaSession, build: Build
) -> None:
    session.execute("create table s.t (k int primary key, v int unique) engine = innodb")
    session.execute(
        "create table s.child (k int, v int, foreign key (k) references s.t (k) on delete cascade,"
        " foreign key (v) references s.t (v) on update cascade) engine = innodb"
    )
    session.execute("insert into s.t values (1, 1); insert into s.child values (1, 1)")
    for how in (Incremental("delete+insert", ("k",)), MERGE):
        error = build("select 1 as k, 2 as v", how).error
        assert error is not None
        assert error.name == "OtherRows"
    assert build("select 2 as k, 2 as v", Incremental("append")).error is None
    assert build("select 1 as k", replace(MERGE, on_schema_change="ignore")).error is None
    assert session.query("select k, v from s.child")[1] == [(1, 1)]


@pytest.mark.parametrize("key", ["merge_update_columns", "merge_exclude_columns"])
def test_a_merge_of_some_columns_is_refused(
    session: mariadb.MariaSession, build: Build, key: str
) -> None:
    """A run may choose this target after the load."""
    build("select 1 as k, 1 as v, 1 as w", MERGE)
    error = build("select 1 as k, 2 as v, 2 as w", replace(MERGE, **{key: ("w",)})).error
    assert error is not None
    assert key in error.message
    assert rows(session) == [(1, 1, 1)]


def test_a_table_of_keys_only(session: mariadb.MariaSession, build: Build) -> None:
    build("select 1 as k", MERGE)
    outcome = build("select 1 as k union all select 2", MERGE)
    assert outcome.changes == Changes("delta", None, 1, 0, 0)
    assert rows(session) == [(1,), (2,)]


def test_a_table_without_transactions_is_refused(
    session: mariadb.MariaSession, build: Build
) -> None:
    session.execute("create table s.t (k int) engine = myisam")
    error = build("select 2 as k", Incremental("append")).error
    assert error is not None
    assert error.name == "NoTransactions"
    assert rows(session) == []
    assert build("select 2 as k", Incremental("append", full_refresh=True)).error is None


def test_a_view_becomes_the_table_and_a_header_gets_a_new_index(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    session.execute("create view s.t as select 7 as k")
    assert build("select 1 as k", Incremental("append"), builder="b").error is None
    more = Extras(indexes=(Index(("k",)),))
    assert build("select 2 as k", Incremental("append"), builder="b", extras=more).error is None
    assert rows(session) == [(1,), (2,)]
    found = "select index_name from information_schema.statistics where table_schema = 's'"
    assert mariadb.rows(found) == [("on_k",)]
    (built,) = session.built_by("b")
    assert built.kept == ""


# Keys --------------------------------------------------------------------------------------------


def test_a_merge_writes_what_a_collation_takes_for_equal(
    session: mariadb.MariaSession, build: Build
) -> None:
    build("select cast('a' as char(9)) as k, cast('x' as char(9)) as v", MERGE)
    outcome = build("select cast('A' as char(9)) as k, cast('X' as char(9)) as v", MERGE)
    assert outcome.changes == Changes("delta", None, 0, 1, 0)
    assert rows(session) == [("A", "X")]
    twice = "select cast('{}' as char(9)) as k, cast('y' as char(9)) as v"
    error = build(f"{twice.format('b')} union all {twice.format('B')}", MERGE).error
    assert error is not None
    assert error.name == "DuplicateKey"


def test_keys_that_the_table_has_twice_are_refused(
    session: mariadb.MariaSession, build: Build
) -> None:
    session.execute("create table s.t (k int, v int) engine = innodb")
    session.execute("insert into s.t values (1, 1), (1, 2)")
    error = build("select 5 as k, 5 as v", replace(MERGE, code_version="new")).error
    assert error is not None
    assert error.name == "KeysOfTable"
    assert len(rows(session)) == 2


@pytest.mark.parametrize("type_", ["longtext", "varchar(2000)", "varbinary(900)", "decimal(20,4)"])
def test_keys_of_any_type(session: mariadb.MariaSession, build: Build, type_: str) -> None:
    session.execute(f"create table s.source (k {type_}, v int)")
    session.execute("insert into s.source values ('12', 1), ('13', 1)")
    for strategy in ("merge", "delete+insert"):
        how = Incremental(strategy, ("k",))
        assert build("select * from s.source", how).error is None
        session.execute("update s.source set v = v + 1 where k = '12'")
    assert session.query("select v from s.t order by v")[1] == [(1,), (2,)]


def test_a_key_of_many_texts(session: mariadb.MariaSession, build: Build) -> None:
    """The new rows have an index of the key, which may not be that long."""
    keys = tuple(f"k{number}" for number in range(9))
    listed = ", ".join(f"cast('a' as char(100)) as {key}" for key in keys)
    for v in (1, 2):
        outcome = build(f"select {listed}, {v} as v", Incremental("merge", keys))
        assert outcome.error is None, outcome.error
    assert rows(session, "k0, k8, v") == [("a", "a", 2)]


# Columns -----------------------------------------------------------------------------------------


def test_columns_that_have_changed(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    build("select 1 as k, cast('a' as char(9)) as l", MERGE)
    more = "select 2 as k, cast('b' as char(9)) as l, 1.5e0 as m"
    error = build(more, MERGE).error
    assert error is not None
    assert error.name == "SchemaChanged"
    adding = replace(MERGE, on_schema_change="append_new_columns")
    assert build(more, adding).error is None
    assert build("select 1 as k, 2.5e0 as m", adding).error is None  # `l` of the row stays
    assert rows(session) == [(1, "a", 2.5), (2, "b", 1.5)]
    syncing = replace(MERGE, on_schema_change="sync_all_columns")
    big = "select 12345678901 as k, 3.5e0 as m"
    assert build(big, syncing).error is None
    assert rows(session) == [(1, 2.5), (12345678901, 3.5), (2, 1.5)]
    assert session.columns(T) == (("k", "bigint"), ("m", "double"))
    outcome = build("select 1 as k, 9.5e0 as m, 7 as z", replace(MERGE, on_schema_change="ignore"))
    assert outcome.changes == Changes("delta", None, 0, 1, 0)
    assert rows(session, "m") == [(1.5,), (3.5,), (9.5,)]
    assert left(mariadb) == []


def test_no_value_is_changed_to_fit(session: mariadb.MariaSession, build: Build) -> None:
    build("select 1 as n, cast('ab' as char(2)) as l", Incremental("append"))
    for sql in ("select 1.5 as n, 'ab' as l", "select 1 as n, 'abc' as l"):
        error = build(sql, Incremental("append")).error
        assert error is not None
        assert error.name == "SchemaChanged"
    assert rows(session) == [(1, "ab")]


def test_a_column_without_null_may_have_one_later(
    session: mariadb.MariaSession, build: Build
) -> None:
    """MariaDB declares a column NOT NULL whose first query could not return NULL."""
    for how in (Incremental("append"), MERGE):
        assert build("select 1 as k, 'a' as l", replace(how, full_refresh=True)).error is None
        assert build("select 2 as k, cast(null as char(1)) as l", how).error is None
        assert session.query("select k from s.t where l is null")[1] == [(2,)]


def test_the_types_of_python_follow_their_values(
    session: mariadb.MariaSession, tmp_path: Path
) -> None:
    def load(attempt: int, values: list[Any], type_: Any) -> Outcome:
        table = pa.table({"k": pa.array([attempt], pa.int64()), "v": pa.array(values, type_)})
        path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
        task = replace(arrow_task("s.t", path), materialization=MERGE, attempt=attempt)
        return run(session, task, Stop())

    assert load(1, [5], pa.int64()).error is None
    assert load(2, [6.0], pa.float64()).error is None  # a frame with a NULL has floats
    assert load(3, [None], pa.string()).error is None
    assert load(4, [6.5], pa.float64()).error is not None
    assert rows(session) == [(1, 5), (2, 6), (3, None)]


@pytest.mark.parametrize(
    ("given", "table", "whether"),
    [
        ("int", "bigint", True),
        ("bigint", "int", False),
        ("int unsigned", "bigint", True),
        ("int unsigned", "int", False),
        ("int", "int unsigned", False),
        ("tinyint(1)", "int", False),
        ("tinyint", "tinyint(1)", False),
        ("int", "decimal(10,0)", True),
        ("int", "decimal(10,1)", False),
        ("decimal(9,2)", "decimal(10,3)", True),
        ("decimal(9,2)", "decimal(9,3)", False),
        ("decimal(9,2)", "double", False),
        ("float", "double", True),
        ("double", "float", False),
        ("varchar(3)", "varchar(9)", True),
        ("varchar(9)", "varchar(3)", False),
        ("varchar(9)", "longtext", True),
        ("varchar(9)", "char(9)", False),
        ("longtext", "varchar(9)", False),
        ("text", "mediumtext", True),
        ("varchar(70)", "tinytext", False),
        ("varbinary(9)", "blob", True),
        ("datetime", "datetime(6)", True),
        ("datetime(6)", "datetime", False),
        ("date", "datetime", False),
        ("float", "double(5,2)", False),
        ("enum('a')", "enum('a')", True),
        ("enum('a')", "enum('a','b')", False),
    ],
)
def test_types_that_take_all_values_of_others(given: str, table: str, whether: bool) -> None:
    assert fits(given, table) is whether


# $since ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "first", "second"),
    [
        ("date", "'2024-01-01'", "'2024-01-03'"),
        ("datetime(6)", "'2024-01-01'", "'2024-01-03 04:05:06.000007'"),
        ("timestamp(6)", "'2024-01-01'", "'2024-01-03 04:05:06.000007'"),
        ("int", "0", "5"),
        ("int unsigned", "0", "5"),
        ("bigint", "-9", "12345678901"),
        ("decimal(9,2)", "-1.25", "5.25"),
        ("double", "-1.25", "5.25"),
        ("float", "1234567", "1234568"),
        ("varchar(9)", "'a'", "'b''\\\\'"),
        ("longtext", "'a'", "'b'"),
    ],
)
def test_since_is_the_last_value_of_the_table(
    session: mariadb.MariaSession, build: Build, type_: str, first: str, second: str
) -> None:
    session.execute(f"create table s.source (at {type_})")
    session.execute(f"insert into s.source values ({first}), ({first})")
    how = Incremental("append", since=Since("at"))
    sql = f"select at from s.source where at > {SINCE}"
    assert build(sql, how).rows == 2
    session.execute(f"insert into s.source values ({second})")
    outcome = build(sql, how)
    assert outcome.error is None
    assert outcome.changes is not None
    assert (outcome.changes.inserted, session.count("select * from s.t")) == (1, 3)
    nothing = build(sql, how)
    assert nothing.changes is not None
    assert nothing.changes.inserted == 0


@pytest.mark.parametrize(
    ("type_", "lookback", "newest", "bound"),
    [
        ("datetime(6)", "INTERVAL '3 days'", "'2024-01-31 10:00:00'", "2024-01-28 10:00:00.000000"),
        ("datetime(6)", "INTERVAL '5 milliseconds'", "'2024-01-31'", "2024-01-30 23:59:59.995000"),
        ("date", "INTERVAL '2 weeks'", "'2024-01-31'", "2024-01-17"),
        ("int", "3", "10", "7"),
        ("int unsigned", "30", "10", "-20"),
    ],
)
def test_a_lookback(
    session: mariadb.MariaSession,
    build: Build,
    type_: str,
    lookback: str,
    newest: str,
    bound: str,
) -> None:
    session.execute(f"create table s.source (at {type_}, k int)")
    session.execute(f"insert into s.source values ({newest}, 1)")
    how = replace(MERGE, since=Since("at", lookback))
    sql = f"select at, k from s.source where at > {SINCE}"
    assert build(sql, how).error is None
    outcome = build(sql, how)
    assert outcome.changes is not None
    assert bound in str(outcome.changes.since)


# Partitions --------------------------------------------------------------------------------------


def days(*numbers: int) -> tuple[Partition, ...]:
    starts = [dt.datetime(2024, 1, it, tzinfo=UTC) for it in numbers]
    windows = [TimeWindow(it, it + dt.timedelta(days=1)) for it in starts]
    return tuple(Partition(str(it.start.date()), it) for it in windows)


def replacing(*numbers: int, **more: Any) -> Incremental:
    return Incremental("replace", partitioned=Partitioned("d", days(*numbers), **more))


def source(given: list[tuple[int, int]], type_: str = "date") -> str:
    as_type = {"timestamp(6)": "from_unixtime(unix_timestamp(cast({} as datetime)))"}
    cast = as_type.get(type_, f"cast({{}} as {type_})")
    return " union all ".join(
        f"select {cast.format(repr(f'2024-01-{d:02d}'))} as d, {v} as v" for d, v in given
    )


@pytest.mark.parametrize("type_", ["date", "datetime(6)"])
def test_days_are_replaced(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build, type_: str
) -> None:
    r = random.Random(1)
    given = [(r.randint(1, 4), r.randint(0, 9)) for _ in range(20)]
    first = build(source(given, type_), replacing())
    assert first.error is None
    assert first.changes == Changes("whole", None, 20, 0, 0, None, 0)
    table = given
    for step in range(4):
        wanted = sorted(r.sample(range(1, 6), r.randint(1, 2)))
        given = [(r.randint(1, 5), r.randint(0, 9)) for _ in range(20)]
        outcome = build(source(given, type_), replacing(*wanted))
        assert outcome.error is None, outcome.error
        new = [row for row in given if row[0] in wanted]
        kept = [row for row in table if row[0] not in wanted]
        changes = Changes("window", None, len(new), 0, len(table) - len(kept))
        assert outcome.changes == changes, step
        table = kept + new
        assert rows(session, "day(d), v") == sorted(table, key=str), step
    assert left(mariadb) == []


def test_windows_of_a_moment_and_of_values(session: mariadb.MariaSession, build: Build) -> None:
    session.execute("create table s.source (d timestamp(6) null, v bigint)")
    session.execute(
        "insert into s.source values ('2024-01-01 23:59:59.999999', 1), ('2024-01-02', 2),"
        " (null, 3)"
    )
    outcome = build("select * from s.source", replacing(2))
    assert outcome.error is None, outcome.error
    assert rows(session, "v") == [(2,)]
    how = Incremental("replace", partitioned=Partitioned("v", (_value("2"), _value("3"))))
    assert build("select * from s.source", how).error is None
    assert rows(session, "v") == [(2,), (3,)]


@pytest.mark.parametrize("type_", ["char(2)", "varchar(2)", "text", "enum('a', 'B')"])
def test_a_key_that_a_collation_takes_for_another_is_another_partition(
    session: mariadb.MariaSession, build: Build, type_: str
) -> None:
    session.execute(f"create table s.source (k {type_} collate utf8mb4_general_ci, n int)")
    session.execute("insert into s.source values ('a', 1), ('B', 2)")
    both = Partitioned("k", (_value("a"), _value("B")))
    assert build("select * from s.source", Incremental("replace", partitioned=both)).error is None
    other = Incremental("replace", partitioned=Partitioned("k", (_value("A"), _value("b"))))
    outcome = build("select * from s.source", other)
    assert outcome.changes == Changes("window", None, 0, 0, 0)
    assert rows(session) == [("B", 2), ("a", 1)]


def _value(key: str) -> Partition:
    return Partition(key, ValueWindow((key,)))


def test_rows_of_python_that_are_in_no_window_are_left_out_and_counted(
    session: mariadb.MariaSession, build: Build, tmp_path: Path
) -> None:
    build(source([(1, 1), (2, 2)]), replacing())
    table = pa.table(
        {
            "d": [dt.date(2024, 1, 2), dt.date(2024, 1, 3), None],
            "v": pa.array([7, 8, 9], pa.int32()),
        }
    )
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    task = replace(arrow_task("s.t", path), materialization=replacing(2), attempt=9)
    outcome = run(session, task, Stop())
    assert outcome.error is None, outcome.error
    assert outcome.changes == Changes("window", None, 1, 0, 1, 1, 1)
    assert rows(session, "day(d), v") == [(1, 1), (2, 7)]


def test_batches_are_transactions_whose_checks_see_what_is_new(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    """The third batch has a value of the first one: only a check of all that the run has written
    finds it."""
    build(source([(9, 0)]), replacing())
    session.execute("create table s.source as " + source([(1, 1), (2, 2), (3, 1)]))
    unique = CheckTask(
        "unique",
        f"select v from {OWN_WINDOW} as x group by v having count(*) > 1",
        "warn",
        scope="window",
    )
    outcome = build("select * from s.source", replacing(1, 2, 3, batch=1), checks=(unique,))
    assert outcome.error is None, outcome.error
    assert [it.failures for it in outcome.checks] == [1]
    assert mariadb.rows("select part from dagster_models.commits where attempt = 2") == [
        (0,),
        (1,),
        (2,),
    ]
    assert rows(session, "day(d), v") == [(1, 1), (2, 2), (3, 1), (9, 0)]
    assert left(mariadb) == []


def test_a_failed_check_takes_the_rows_back(
    mariadb: MariaServer, session: mariadb.MariaSession, build: Build
) -> None:
    """And one whose query fails does not end the transaction."""
    build("select 1 as k, 10 as v", MERGE)
    fails = CheckTask("fails", f"select * from {OWN_RELATION} as x where v > 15", "error")
    broken = CheckTask("broken", "select nope", "warn")
    outcome = build("select 2 as k, 20 as v", MERGE, checks=(broken, fails))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert [(it.failures, it.error is None) for it in outcome.checks] == [(0, False), (1, True)]
    assert outcome.checks[1].sample == (("2", "20"),)
    assert mariadb.rows("select k from s.t") == [(1,)]
    assert build("select 2 as k, 11 as v", MERGE, checks=(broken, fails)).error is None


def test_a_unit_test_says_why_there_is_none(session: mariadb.MariaSession) -> None:
    with pytest.raises(WarehouseError, match="MariaDB commits each statement that makes"):
        session.begin_rehearsal()


def test_what_reads_its_own_table_needs_a_query_of_its_own_for_the_first_build(
    session: mariadb.MariaSession, build: Build
) -> None:
    how = Incremental("append", columns=(("k", "int"),))
    error = build("select coalesce(max(k), 0) + 1 as k from s.t", how).error
    assert error is not None
    assert error.name == "ReadsItself"
    how = Incremental("append")
    for _ in range(3):
        one = "select cast(1 as decimal(9)) as k"
        outcome = build("select cast(max(k) + 1 as decimal(9)) as k from s.t", how, one)
        assert outcome.error is None, outcome.error
    assert rows(session) == [(1,), (2,), (3,)]


# A project ---------------------------------------------------------------------------------------

SETTINGS = """name: shop
target: dev
dialect: mysql
targets:
  dev: {type: mariadb, socket: %s, user: root}
"""
MODELS = {
    "seeds/raw/orders.csv": "id,at,paid\n1,2024-01-01 10:00:00,5\n2,2024-01-02 11:00:00,7\n",
    "models/marts/paid.sql": """/* @model
materialized: incremental
unique_key: id
since: {column: at, lookback: 2d}
columns: {id: {checks: [unique, {relationships: {to: raw.orders, field: id}}]}}
*/
select id, at, paid from raw.orders where at >= /*$since*/ timestamp '2024-01-01 00:00:00'
""",
    "models/marts/scored.py": '''"""
@model
materialized: incremental
unique_key: id
since: at
"""


def model(warehouse):
    return warehouse.sql(
        "select id, at, paid * 2 as twice from raw.orders"
        " where at > /*$since*/ timestamp '2020-01-01 00:00:00'"
    ).df()
''',
}


@pytest.mark.timeout(300)
def test_a_project_is_built_again_and_again(mariadb: MariaServer, tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": SETTINGS % mariadb.socket,
        "definitions.py": DEFINITIONS,
        **MODELS,
    }
    root, home = write_project(tmp_path / "p", files), tmp_path / "home"
    home.mkdir()

    def run_job() -> None:
        command = ["-m", "dagster", "job", "execute", "-f", "definitions.py", "-j", "shop"]
        done = subprocess.run(
            [sys.executable, *command],
            cwd=root,
            env={**os.environ, "DAGSTER_HOME": str(home), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    run_job()
    more = "1,2024-01-01 10:00:00,6\n2,2024-01-02 11:00:00,7\n3,2024-01-03 00:00:00,9\n"
    (root / "seeds/raw/orders.csv").write_text(f"id,at,paid\n{more}")
    run_job()
    assert mariadb.rows("select id, paid from marts.paid order by id") == [(1, 6), (2, 7), (3, 9)]
    scored = [(1, 10), (2, 14), (3, 18)]  # the first one is older than what was built
    assert mariadb.rows("select id, twice from marts.scored order by id") == scored
    kinds = "select relation, kind, inserted, updated from dagster_models.commits"
    found = mariadb.rows(f"{kinds} where kind <> 'whole' and relation <> 'raw.orders' order by 1")
    assert [it for it in found if it[0] == "marts.paid"] == [("marts.paid", "delta", 1, 1)]
    assert left(mariadb) == []
