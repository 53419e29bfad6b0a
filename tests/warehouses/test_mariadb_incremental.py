"""What adds to a table on MariaDB: each build is one transaction with its record, and leaves what
plain Python says."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.extras import Extras, Index
from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.mariadb.session import MariaDB, MariaSession, connect
from incremental_oracle import (
    Row,
    check_conditions_of_a_merge,
    check_keys_that_a_condition_meets,
    check_outcome,
    query_of,
    random_builds,
    rows_of,
)
from mariadb_server import MariaServer, left_on
from systems import System, T, given_up, mariadb_system
from tasks import sql_task

#: Random histories of each strategy.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_MARIADB_HISTORIES", "2"))
Build = Callable[..., Outcome]
pytestmark = pytest.mark.nightly


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_random_histories(
    mariadb: MariaServer, session: MariaSession, build: Build, strategy: str
) -> None:
    """Rows with NULLs and duplicates, composite keys, reruns and full refreshes."""
    table: list[Row] | None = None
    published = 0
    for seed in range(HISTORIES):
        for step, (how, given) in enumerate(random_builds(strategy, seed)):
            outcome = build(query_of("char(9)", *given), how)
            story = (strategy, seed, step, given, table)
            table = check_outcome(outcome, how, table, given, story)
            published += outcome.error is None
            if table is not None:
                assert rows_of(session) == sorted(table, key=str), story
    count = "select count(*) from dagster_models.commits where is_published"
    assert mariadb.rows(count) == [(published,)]
    assert left_on(mariadb) == []


# What a build is ---------------------------------------------------------------------------------

MERGE = Incremental("merge", ("k",))
APPEND = Incremental("append")
#: A build after the first one.
MERGED = replace(sql_task("s.t", "select 2 as k, 20 as v"), materialization=MERGE, attempt=9)
APPENDED = replace(sql_task("s.t", "select 2 as k"), materialization=APPEND, attempt=9)


def test_rows_and_record_are_one_transaction_of_the_table_that_is_there(
    mariadb: MariaServer, session: MariaSession, build: Build
) -> None:
    """Indexes, triggers and foreign keys of the table stay: it is not replaced."""
    build("select 1 as k, 10 as v", MERGE)
    session.execute("create unique index mine on s.t (k)")
    session.execute("create table s.log (n int)")
    session.execute(
        "create trigger s.x after insert on s.t for each row insert into s.log values (1)"
    )
    staged = session.build(MERGED)
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
    assert left_on(mariadb) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_session_that_is_lost_at_the_commit_is_settled_by_the_record(
    mariadb: MariaServer,
    session: MariaSession,
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

    monkeypatch.setattr(type(session), "commit", cut)
    if moment == "after":
        assert run(session, MERGED, Stop()).verdict is Verdict.COMMITTED
    else:
        with pytest.raises(WarehouseLost):
            run(session, MERGED, Stop())
    monkeypatch.undo()
    assert (find_proof(session, T, MERGED.id) is not None) is (moment == "after")
    assert len(mariadb.rows("select k from s.t")) == 1 + (moment == "after")
    assert left_on(mariadb) == []


def test_an_attempt_is_published_once_and_two_builds_take_turns(
    warehouse: MariaDB, session: MariaSession, build: Build
) -> None:
    build("select 1 as k", APPEND)
    staged = session.build(APPENDED)
    with contextlib.closing(warehouse.session()) as other:
        waits = run(other, replace(APPENDED, attempt=10), Stop())
        assert waits.error is not None
        assert (waits.error.kind, waits.error.transient) == (ErrorKind.LOCK_TIMEOUT, True)
        session.publish(staged, commits_of(APPENDED, staged))
        twice = run(other, APPENDED, Stop())
        assert twice.verdict is Verdict.COMMITTED  # its proof is there
        assert run(other, replace(APPENDED, attempt=10), Stop()).error is None
    assert rows_of(session) == [(1,), (2,), (2,)]


def test_a_build_that_waits_for_its_turn_can_be_canceled(
    mariadb: MariaServer, session: MariaSession, build: Build
) -> None:
    build("select 1 as k", APPEND)
    session.build(APPENDED)
    patient = connect({**mariadb.settings, "lock_timeout": 60})
    with contextlib.closing(patient.session()) as other:
        stop, outcomes = Stop(), list[Outcome]()
        waiting = threading.Thread(
            target=lambda: outcomes.append(run(other, replace(APPENDED, attempt=10), stop))
        )
        waiting.start()
        shown = "select count(*) from information_schema.processlist where state = 'User lock'"
        while mariadb.rows(shown) == [(0,)]:
            assert waiting.is_alive()
        stop.ask(other.interrupt)
        waiting.join(30)
        assert [it.verdict for it in outcomes] == [Verdict.CANCELED]
    session.discard()
    assert rows_of(session) == [(1,)]


def test_a_session_that_was_given_up_cannot_publish(
    warehouse: MariaDB, session: MariaSession, build: Build
) -> None:
    build("select 1 as k", APPEND)
    with given_up(warehouse, session, APPENDED) as (lost, staged), pytest.raises(WarehouseLost):
        lost.publish(staged, commits_of(APPENDED, staged))
    assert find_proof(session, T, APPENDED.id) is None
    assert run(session, APPENDED, Stop()).error is None
    assert rows_of(session) == [(1,), (2,)]


def test_rows_of_other_tables_do_not_change_along(session: MariaSession, build: Build) -> None:
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
    assert build("select 2 as k, 2 as v", APPEND).error is None
    assert build("select 1 as k", replace(MERGE, on_schema_change="ignore")).error is None
    assert session.query("select k, v from s.child")[1] == [(1, 1)]


@pytest.mark.parametrize(
    "key", ["merge_update_columns", "merge_exclude_columns", "incremental_predicates"]
)
def test_a_merge_of_some_columns_or_rows_is_refused(
    session: MariaSession, build: Build, key: str
) -> None:
    """A run may choose this target after the load."""
    build("select 1 as k, 1 as v, 1 as w", MERGE)
    error = build("select 1 as k, 2 as v, 2 as w", replace(MERGE, **{key: ("w",)})).error
    assert error is not None
    assert key in error.message
    assert rows_of(session) == [(1, 1, 1)]


def test_the_conditions_of_a_merge(session: MariaSession, build: Build) -> None:
    check_conditions_of_a_merge(session, build, "char(9)")


def test_a_doubled_key_whose_new_row_is_left_out_is_reported(
    session: MariaSession, build: Build
) -> None:
    check_keys_that_a_condition_meets(session, build, "char(9)")


def test_a_table_of_keys_only(session: MariaSession, build: Build) -> None:
    build("select 1 as k", MERGE)
    outcome = build("select 1 as k union all select 2", MERGE)
    assert outcome.changes == Changes("delta", None, 1, 0, 0)
    assert rows_of(session) == [(1,), (2,)]


def test_a_table_without_transactions_is_refused(session: MariaSession, build: Build) -> None:
    session.execute("create table s.t (k int) engine = myisam")
    error = build("select 2 as k", APPEND).error
    assert error is not None
    assert error.name == "NoTransactions"
    assert rows_of(session) == []
    assert build("select 2 as k", Incremental("append", full_refresh=True)).error is None


def test_a_view_becomes_the_table_and_a_header_gets_a_new_index(
    mariadb: MariaServer, session: MariaSession, build: Build
) -> None:
    session.execute("create view s.t as select 7 as k")
    assert build("select 1 as k", APPEND, builder="b").error is None
    more = Extras(indexes=(Index(("k",)),))
    assert build("select 2 as k", APPEND, builder="b", extras=more).error is None
    assert rows_of(session) == [(1,), (2,)]
    found = "select index_name from information_schema.statistics where table_schema = 's'"
    assert mariadb.rows(found) == [("on_k",)]
    (built,) = session.built_by("b")
    assert built.kept == ""


def test_a_failed_check_takes_the_rows_back(
    mariadb: MariaServer, session: MariaSession, build: Build
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


def test_a_unit_test_says_why_there_is_none(session: MariaSession) -> None:
    with pytest.raises(WarehouseError, match="MariaDB commits each statement that makes"):
        session.begin_rehearsal()


def test_what_reads_its_own_table_needs_a_query_of_its_own_for_the_first_build(
    session: MariaSession, build: Build
) -> None:
    how = Incremental("append", columns=(("k", "int"),))
    error = build("select coalesce(max(k), 0) + 1 as k from s.t", how).error
    assert error is not None
    assert error.name == "ReadsItself"
    for _ in range(3):
        one = "select cast(1 as decimal(9)) as k"
        outcome = build("select cast(max(k) + 1 as decimal(9)) as k from s.t", APPEND, full=one)
        assert outcome.error is None, outcome.error
    assert rows_of(session) == [(1,), (2,), (3,)]


# Keys --------------------------------------------------------------------------------------------


def test_a_merge_writes_what_a_collation_takes_for_equal(
    session: MariaSession, build: Build
) -> None:
    build("select cast('a' as char(9)) as k, cast('x' as char(9)) as v", MERGE)
    outcome = build("select cast('A' as char(9)) as k, cast('X' as char(9)) as v", MERGE)
    assert outcome.changes == Changes("delta", None, 0, 1, 0)
    assert rows_of(session) == [("A", "X")]
    twice = "select cast('{}' as char(9)) as k, cast('y' as char(9)) as v"
    error = build(f"{twice.format('b')} union all {twice.format('B')}", MERGE).error
    assert error is not None
    assert error.name == "DuplicateKey"


def test_keys_that_the_table_has_twice_are_refused(session: MariaSession, build: Build) -> None:
    session.execute("create table s.t (k int, v int) engine = innodb")
    session.execute("insert into s.t values (1, 1), (1, 2)")
    error = build("select 5 as k, 5 as v", replace(MERGE, code_version="new")).error
    assert error is not None
    assert error.name == "KeysOfTable"
    assert len(rows_of(session)) == 2


@pytest.mark.parametrize("type_", ["longtext", "varchar(2000)", "varbinary(900)", "decimal(20,4)"])
def test_keys_of_any_type(session: MariaSession, build: Build, type_: str) -> None:
    session.execute(f"create table s.source (k {type_}, v int)")
    session.execute("insert into s.source values ('12', 1), ('13', 1)")
    for strategy in ("merge", "delete+insert"):
        how = Incremental(strategy, ("k",))
        assert build("select * from s.source", how).error is None
        session.execute("update s.source set v = v + 1 where k = '12'")
    assert session.query("select v from s.t order by v")[1] == [(1,), (2,)]


def test_a_key_of_many_texts(session: MariaSession, build: Build) -> None:
    """The new rows have an index of the key, which may not be that long."""
    keys = tuple(f"k{number}" for number in range(9))
    listed = ", ".join(f"cast('a' as char(100)) as {key}" for key in keys)
    for v in (1, 2):
        outcome = build(f"select {listed}, {v} as v", Incremental("merge", keys))
        assert outcome.error is None, outcome.error
    assert rows_of(session, "k0, k8, v") == [("a", "a", 2)]
