"""What every warehouse does, asked of each: its sessions, relations, seeds, bulk and records.

``feature`` marks name what a warehouse may lack by its own capability data; there the test must
fail. Seeds and values are in test_conformance_values.py; test_materialization.py (tasks) and
test_warehouse_api.py (what user code calls) ask the layers above in the same way.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

import matrix
from dagster_models.core.commit import Commit
from dagster_models.core.model import Relation
from dagster_models.core.target_types import target_type
from dagster_models.core.tasks import AttemptId, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.warehouses.base import (
    FEATURES,
    OpenWarehouse,
    WarehouseSession,
    find_proof,
    quoted,
)
from paths import REPOSITORY
from systems import EVERY, MORE, VARIANTS, System, T, create, session_of, with_more

# Errors ------------------------------------------------------------------------------------------


@pytest.mark.feature("error_line")
@pytest.mark.parametrize("what", ["table", "view"])
@pytest.mark.parametrize(
    ("sql", "line"),
    [
        ("select 1 as a,\n  nope", 2),
        ("-- head\n/* and\nmore */ select\n1 from\nnosuch", 5),
        ("select 1,\n\n from from", 3),
        ("\n\nselekt 1", 3),
        ("nosuch", 1),
    ],
)
def test_an_error_has_the_line_of_the_users_text(
    session: WarehouseSession, what: str, sql: str, line: int
) -> None:
    with pytest.raises(WarehouseError) as caught:
        create(session, what, sql)
    assert caught.value.line == line
    assert f"LINE {line}:" in caught.value.message


@pytest.mark.feature("error_line")
def test_an_error_of_every_use_has_its_line(session: WarehouseSession, tmp_path: Path) -> None:
    bad = "select 1,\n nope"
    for use in (
        lambda: session.count(bad),
        lambda: session.query(bad),
        lambda: session.export(bad, [str(tmp_path)]),
    ):
        with pytest.raises(WarehouseError) as caught:
            use()
        assert caught.value.line == 2
    assert list(tmp_path.glob("*.arrow")) == []


@pytest.mark.feature("runtime_error_line")
def test_an_error_while_rows_are_read_has_its_line(
    system: System, session: WarehouseSession
) -> None:
    case = "cast(case when i = 9 then 'x' else '1' end as int)"
    with pytest.raises(WarehouseError) as caught:
        create(session, "table", f"select 1 as one,\n {case} as n\nfrom {system.rows_of(10)}")
    assert caught.value.line == 2


@pytest.mark.parametrize("what", ["table", "view"])
def test_a_statement_that_is_no_query(session: WarehouseSession, what: str) -> None:
    session.execute("create table s.other (n int)")
    with pytest.raises(WarehouseError):
        create(session, what, "insert into s.other values (1)")
    assert session.query("select * from s.other")[1] == []


@pytest.mark.parametrize(
    "sql",
    [
        "select 1 as n; -- done; really",
        "select 1 as n;;\n",
        "-- a\nselect 1 as n -- b",
        "with w as (select 1 as n) select * from w",
        "(select 1 as n)",
        "values (1)",
        'select 1 as "a;b" /* ; */',
    ],
)
def test_texts_that_are_one_query(session: WarehouseSession, sql: str) -> None:
    assert create(session, "table", sql) == 1
    assert session.count(sql) == 1
    assert session.query(sql)[1] == [(1,)]
    assert create(session, "view", sql) is None


@pytest.mark.parametrize(
    "sql", ["", "-- nothing", "select 1; select 2", "select 1; commit", "commit", "select 1; begin"]
)
def test_texts_that_are_not_one_query(session: WarehouseSession, sql: str) -> None:
    for use in (lambda: create(session, "table", sql), lambda: session.count(sql)):
        with pytest.raises(WarehouseError, match="one query is expected"):
            use()


# Relations ---------------------------------------------------------------------------------------


def test_columns_have_the_warehouses_types(system: System, session: WarehouseSession) -> None:
    create(session, "view", "select cast(1.5 as decimal(9, 2)) as d, cast('a' as varchar) as v")
    found = session.columns(T)
    assert found[0] == ("d", system.type_of("DECIMAL(9,2)"))
    assert [name for name, _ in found] == ["d", "v"]


@pytest.mark.feature("type_change")
def test_a_relation_may_change_its_type(system: System, session: WarehouseSession) -> None:
    for what in ("table", "view", "view", "table", "table"):
        create(session, what, "select 1 as n")
        assert system.relations_of(session) == [("s", "t", what)]


def test_rollback_of_a_type_change_brings_the_old_one_back(
    system: System, session: WarehouseSession
) -> None:
    create(session, "view", "select 'old' as n")
    session.begin()
    session.replace_table(T, Query("select 'new' as n"))
    session.rollback()
    assert session.query("select n from s.t")[1] == [("old",)]
    assert session.query(system.relations)[1] == [("s", "t", "view")]


@pytest.mark.parametrize(
    "change", ["select 2 as n", "select 2 as n, 'x' as more", "select 'a' as m"]
)
@pytest.mark.parametrize("what", ["table", "view"])
def test_a_rebuilt_relation_has_the_new_columns_and_rows(
    session: WarehouseSession, what: str, change: str
) -> None:
    create(session, what, "select 1 as n")
    create(session, what, change)
    assert session.query("select * from s.t") == session.query(change)


@pytest.mark.feature("dependent_views")
@pytest.mark.parametrize(
    "change", ["select 2 as n", "select 'x' as more, cast(2 as decimal(9, 2)) as n"]
)
def test_views_on_a_table_survive_its_rebuild(session: WarehouseSession, change: str) -> None:
    create(session, "table", "select 1 as n")
    session.execute("create schema other; create view other.one as select n from s.t")
    session.execute("create view other.two as select n + 1 as m from other.one")
    create(session, "table", change)
    assert session.query("select * from other.one")[1] == [(2,)]
    assert session.query("select * from other.two")[1] == [(3,)]


@pytest.mark.feature("indexes")
@pytest.mark.parametrize(
    "change", ["select 2 as n", "select 'x' as more, cast(2 as decimal(9, 2)) as n"]
)
def test_indexes_survive_a_rebuild(system: System, session: WarehouseSession, change: str) -> None:
    create(session, "table", "select 1 as n")
    session.execute("create index on_n on s.t (n)")
    create(session, "table", change)
    assert session.query(system.indexes)[1] == [("on_n",)]


@pytest.mark.feature("grants")
@pytest.mark.parametrize(
    "change", ["select 2 as n", "select 'x' as more, cast(2 as decimal(9, 2)) as n"]
)
@pytest.mark.parametrize("what", ["table", "view"])
def test_grants_and_comments_survive_a_rebuild(
    session: WarehouseSession, what: str, change: str
) -> None:
    create(session, what, "select 1 as n")
    session.execute(f"grant select on s.t to pg_monitor; comment on {what} s.t is 'it''s ours'")
    session.execute("comment on column s.t.n is 'the number'")
    create(session, what, change)
    told = session.query(
        "select relacl::text, obj_description(oid), (select col_description(oid, attnum)"
        " from pg_attribute where attrelid = pg_class.oid and attname = 'n')"
        " from pg_class where oid = to_regclass('s.t')"
    )[1][0]
    assert "pg_monitor=r/" in told[0]
    assert told[1:] == ("it's ours", "the number")


@pytest.mark.feature("snapshot_readers")
def test_a_long_reader_neither_delays_nor_sees_a_rebuild(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    create(session, "table", "select 'old' as n")
    with session_of(warehouse) as reader:
        reader.begin()
        reader.execute("select n from s.t")
        create(session, "table", "select 'new' as n")
        assert reader.query("select count(*) from s.t")[1] == [(1,)]
        reader.commit()
        assert reader.query("select n from s.t")[1] == [("new",)]


@pytest.mark.feature("size")
def test_the_bytes_of_a_table_are_known(system: System, session: WarehouseSession) -> None:
    create(session, "view", "select 1 as n")
    assert session.size(T) is None
    create(session, "table", f"select i as n from {system.rows_of(10_000)}")
    assert 10_000 < (session.size(T) or 0) < 1_000_000


# Hostile names and values ------------------------------------------------------------------------

HOSTILE = st.text(
    st.sampled_from("aA\"'`;\\\n$%-/*ÄßЖ名😀 .") | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=40,
).filter(lambda name: "\0" not in name and name.strip() != "")


def _is_refused_at_load(schema: str, name: str) -> bool:
    """Whether no project can have the name, or the test itself does. Hypothesis draws texts of
    other tests too, so these names come up."""
    reserved = ("dagster_models", "information_schema", "pg_catalog")
    return schema.lower() in reserved or (schema.lower(), name.lower()) == ("s", "kept")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schema=HOSTILE, name=HOSTILE, value=st.text(max_size=20).filter(lambda t: "\0" not in t))
@example(schema='s"; drop schema s cascade; --', name="t'); drop table s.kept; --", value="$1 %s")
@example(schema="s\n", name="$$", value="\\")
@example(schema="Ä" * 31, name="名" * 21, value="")
@example(schema="W", name="w", value="")  # the database's own name
@example(schema="Temp", name="temp", value="")
@example(schema="pg_", name="t", value="")
def test_hostile_names_and_values_neither_inject_nor_collide(
    system: System, session: WarehouseSession, schema: str, name: str, value: str
) -> None:
    assume(not _is_refused_at_load(schema, name))
    # As a target gives it: a schema with the name of a database is ambiguous without its catalog.
    row = target_type(system.name)
    own = row.catalog or "w"
    databases = (own, *row.databases) if row.databases else ()
    relation = Relation(schema, name, own if schema.lower() in databases else None)
    if system.name == "postgres" and schema.startswith("pg_"):
        with pytest.raises(WarehouseError, match="unacceptable schema name"):
            session.prepare([schema])
        return
    long = max(len(schema.encode()), len(name.encode())) > 63
    if session.query("select count(*) from information_schema.tables where table_name = 'kept'")[
        1
    ] == [(0,)]:
        session.execute("create table s.kept as select 'kept' as n")
    if long and system.capabilities.lacks.get("any_name"):
        for use in (
            lambda: session.prepare([schema]),
            lambda: create(session, "table", "select 1 as n", relation),
        ):
            with contextlib.suppress(WarehouseError):
                use()
                assert max(len(schema.encode()), 63) == 63, "a long schema was made"
        assert session.query("select n from s.kept")[1] == [("kept",)]
        return
    session.prepare([schema])
    for what in ("table", "view", "table"):
        create(session, what, "select 'x' as n", relation)
        session.begin()
        session.write_record(Commit("r", value, 1, str(relation), value, {value: value}, 1))
        found = find_proof(session, relation, AttemptId("r", value, 1))
        session.rollback()
        assert found is not None
        assert (found.relation, found.input_versions) == (str(relation), {value: value})
    assert [n for n, _ in session.columns(relation)] == ["n"]
    assert session.query(f"select n from {quoted(relation)}")[1] == [("x",)]
    assert session.query("select n from s.kept")[1] == [("kept",)]


@pytest.mark.feature("any_name")
def test_names_that_agree_in_their_first_63_bytes_are_two(session: WarehouseSession) -> None:
    for end in "ab":
        create(session, "table", f"select '{end}' as n", Relation("s", "n" * 63 + end))
    for end in "ab":
        name = quoted(Relation("s", "n" * 63 + end))
        assert session.query(f"select n from {name}")[1] == [(end,)]


# Transactions, cancel, records -------------------------------------------------------------------


def test_statements_of_a_text_commit_one_by_one(session: WarehouseSession) -> None:
    with pytest.raises(WarehouseError, match="nope"):
        session.execute("create table s.a as select 1 as n;\n create table s.b as\nselect nope")
    assert session.query("select count(*) from s.a")[1] == [(1,)]
    session.execute("begin; insert into s.a values (2); rollback")
    session.execute("begin; insert into s.a values (3); commit")
    assert session.query("select n from s.a order by n")[1] == [(1,), (3,)]


@pytest.mark.parametrize("bad", ["select nope", "from from", "select cast('x' as int)"])
def test_a_commit_that_does_not_raise_has_committed(session: WarehouseSession, bad: str) -> None:
    """Which errors end a transaction differs: in DuckDB 1.5 few do, elsewhere all."""
    session.begin()
    session.execute("create table s.kept as select 1 as n")
    with pytest.raises(WarehouseError):
        session.execute(bad)
    try:
        session.commit()
        expected = 1
    except WarehouseError:
        expected = 0
    assert not session.in_transaction
    found = session.query("select * from information_schema.tables where table_name = 'kept'")[1]
    assert len(found) == expected


@pytest.mark.feature("cancel")
def test_an_interrupt_stops_what_runs_and_nothing_else(
    system: System, session: WarehouseSession
) -> None:
    for _ in range(20):
        session.interrupt()
        assert session.query("select 1")[1] == [(1,)]
    done = threading.Event()

    def interrupt() -> None:
        while not done.wait(0.02):
            session.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(WarehouseError) as caught:
            session.query(system.endless)
    finally:
        done.set()
        thread.join()
    assert caught.value.kind is ErrorKind.INTERRUPTED
    assert session.query("select 1")[1] == [(1,)]


def test_prepare_may_be_repeated_in_a_busy_database(warehouse: OpenWarehouse) -> None:
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["a"])
        one.begin()
        one.execute("create table a.t as select 1 as n")
        other.prepare(["a"])
        one.commit()
        assert other.query("select n from a.t")[1] == [(1,)]


def test_a_record_is_read_as_it_was_written(warehouse: OpenWarehouse) -> None:
    with session_of(warehouse) as session:
        assert find_proof(session, T, AttemptId("r", "s.t", 1)) is None, (
            "of a database that nobody prepared"
        )
        session.prepare([])
        assert find_proof(session, T, AttemptId("r", "s.t", 1)) is None
        for attempt, rows in ((1, 7), (2, None)):
            session.write_record(Commit("r", "s.t", attempt, "s.t", "v1", {"s.up": "x'y"}, rows))
        found = find_proof(session, T, AttemptId("r", "s.t", 1))
        assert found is not None
        assert (found.rows, found.input_versions, found.code_version) == (7, {"s.up": "x'y"}, "v1")
        then = dt.datetime.fromisoformat(found.committed_at)
        assert abs(dt.datetime.now(dt.timezone.utc) - then) < dt.timedelta(minutes=5)
        assert find_proof(session, T, AttemptId("r", "s.t", 3)) is None


def test_the_last_record_of_each_relation(warehouse: OpenWarehouse) -> None:
    with session_of(warehouse) as session:
        assert session.last_proofs() == [], "of a database that nobody prepared"
        session.prepare([])
        for run, step in (("r1", "s.t"), ("r1", "s.u"), ("r2", "s.t")):
            session.write_record(Commit(run, step, 1, step, "v1", {"s.up": "x"}, 3))
        last = {record.relation: record for record in session.last_proofs()}
        assert {name: record.run_id for name, record in last.items()} == {"s.t": "r2", "s.u": "r1"}
        assert last["s.t"] == find_proof(session, T, AttemptId("r2", "s.t", 1))


def test_a_closed_session_has_rolled_back(warehouse: OpenWarehouse, system: System) -> None:
    session = warehouse.session()
    session.prepare(["s"])
    session.begin()
    session.replace_table(T, Query("select 1 as n"))
    session.close()
    session.close()
    with session_of(warehouse) as other:
        assert other.query(system.relations)[1] == []


def test_an_append_only_conflict_is_transient(warehouse: OpenWarehouse, system: System) -> None:
    """Two writers of one relation: one wins, the other is told something worth another try."""
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["s"])
        create(one, "table", "select 0 as n")
        one.begin()
        one.replace_table(T, Query("select 1 as n"))
        other.begin()
        failure: list[WarehouseError] = []

        def second() -> None:
            try:
                other.replace_table(T, Query("select 2 as n"))
            except WarehouseError as error:
                failure.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        if system.name == "duckdb":
            thread.join()
            assert failure, "which it says at once"
        one.commit()
        thread.join()
        try:
            other.rollback() if failure else other.commit()
        except WarehouseError as error:
            failure.append(error)
        conflicts = [(ErrorKind.CONFLICT, True)] if system.capabilities.shared_fate else []
        assert [(e.kind, e.transient) for e in failure] == conflicts
        assert one.query("select count(*) from s.t")[1] == [(1,)]


# The docs ----------------------------------------------------------------------------------------


def test_the_table_of_the_docs_is_the_capability_data() -> None:
    every = [
        import_module(f"dagster_models.warehouses.{name}.session").CAPABILITIES for name in EVERY
    ]
    lines = [
        f"| | {' | '.join(c.name for c in every)} |",
        "| --- |" + " --- |" * len(every),
        *(
            f"| {meaning} | {' | '.join(_cell(c.lacks.get(feature)) for c in every)} |"
            for feature, meaning in FEATURES.items()
        ),
    ]
    page = (REPOSITORY / "docs" / "warehouses.md").read_text(encoding="utf-8")
    assert "\n".join(lines) in page, "write this table:\n" + "\n".join(lines)


def test_the_matrix_of_the_docs_is_what_the_suite_prints_where_each_promise_is_kept() -> None:
    """A "no" of the capability data must fail in the suite, and all else must pass. Iceberg tables
    are Spark's, with what Spark promises, and its own server does more."""
    found = {
        name: import_module(f"dagster_models.warehouses.{name}.session").CAPABILITIES
        for name in EVERY
    }
    for name in VARIANTS:
        found[name] = replace(with_more(found["spark"], MORE.get(name, ())), name=name)
    printed = "\n".join(matrix.lines(matrix.promised(found.values()), [*found]))
    page = (REPOSITORY / "docs" / "warehouse_authors.md").read_text(encoding="utf-8")
    assert printed in page, "write this matrix:\n" + printed


def _cell(reason: str | None) -> str:
    return f"no: {reason}" if reason else "yes"


@pytest.mark.feature("two_processes")
def test_two_processes_may_write_at_once(system: System, tmp_path: Path) -> None:
    code = (
        "import importlib, json, sys\n"
        "module = importlib.import_module(sys.argv[1])\n"
        "warehouse = module.connect(json.loads(sys.argv[2]))\n"
        "warehouse.session().load(sys.argv[3], '\"s\".\"theirs\"', 'replace')\n"
        "warehouse.close()\n"
    )
    warehouse = system.open()
    try:
        with session_of(warehouse) as session:
            session.prepare(["s"])
            path, _ = session.export("select 1 as n", [str(tmp_path)])
            session.load(path, '"s"."ours"', "replace")
            (tmp_path / "other.py").write_text(code)
            arguments = [system.module.__name__, json.dumps(system.settings), path]
            subprocess.run(
                [sys.executable, str(tmp_path / "other.py"), *arguments],
                check=True,
                stderr=subprocess.DEVNULL,
            )
            assert len(system.relations_of(session)) == 2
            assert session.query("select n from s.theirs")[1] == [(1,)]
    finally:
        warehouse.close()


@pytest.mark.feature("local_files")
def test_sql_may_read_files_of_this_machine(
    system: System, warehouse: OpenWarehouse, tmp_path: Path
) -> None:
    (tmp_path / "here.csv").write_text("n\n1\n")
    address = replace(system.address, folder=str(tmp_path))
    with contextlib.closing(warehouse.session("", address.session_request(os.environ))) as session:
        assert session.query("select n from 'here.csv'")[1] == [(1,)]
