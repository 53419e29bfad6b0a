"""Statements, indexes, comments and grants of a build: in its transaction, and only our own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.extras import Extras, Index, UserStatement
from dagster_models.core.materializations import Incremental, Snapshot
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import task_from_json, task_to_json
from dagster_models.errors import ErrorKind
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from systems import System, instrument, postgres_system, session_of
from tasks import sql_task

Build = Callable[..., Outcome]
LOG = "create table s.log (what varchar, n bigint); create table s.t as select 1 as i"
SEEN = "insert into s.log select '{}', count(*) from s.t"


@pytest.fixture
def build(session: WarehouseSession) -> Build:
    """Builds s.t, as a new attempt each time."""
    attempt = 0

    def build(
        sql: str, extras: Extras | None = None, *, view: bool = False, **more: Any
    ) -> Outcome:
        nonlocal attempt
        attempt += 1
        task = sql_task("s.t", sql, attempt=attempt, view=view, extras=extras or Extras())
        task = replace(task, **more)
        assert task_from_json(task_to_json(task)) == task
        return run(session, task, Stop())

    return build


def pre(sql: str, line: int = 3, path: str = "") -> Extras:
    return Extras(before=(UserStatement(sql, "pre_statements", path, line),))


def post(sql: str, line: int = 3, path: str = "") -> Extras:
    return Extras(after=(UserStatement(sql, "post_statements", path, line),))


# Statements --------------------------------------------------------------------------------------


def test_they_run_before_and_after_the_build_and_in_its_transaction(
    session: WarehouseSession, build: Build
) -> None:
    session.execute(LOG)
    extras = replace(pre(SEEN.format("pre")), after=post(SEEN.format("post")).after)
    two = "select 1 as i union all select 2"
    instrument(session, before_commit=lambda: seen.extend(session.execute("select * from s.log")))
    seen: list[Any] = []
    assert build(two, extras).error is None
    assert sorted(seen) == [("post", 2), ("pre", 1)]
    assert sorted(session.execute("select * from s.log")) == [("post", 2), ("pre", 1)]


@pytest.mark.parametrize("fails", ["query", "check", "post", "commit"])
def test_what_they_wrote_is_rolled_back_with_the_build(
    session: WarehouseSession, build: Build, fails: str
) -> None:
    session.execute(LOG)
    broken = "select i from s.nowhere"
    after = [post(SEEN.format("post")).after, post(broken).after][fails == "post"]
    extras = replace(pre("insert into s.log values ('pre', 0)"), after=after)
    checks = (CheckTask("c", "select 1 as bad"),) if fails == "check" else ()
    if fails == "commit":
        session.publish = None  # type: ignore[assignment, method-assign]
        with pytest.raises(TypeError):
            build("select 2 as i", extras)
    else:
        outcome = build(broken if fails == "query" else "select 2 as i", extras, checks=checks)
        assert outcome.error is not None
    assert session.execute("select * from s.log") == []
    assert session.execute("select i from s.t") == [(1,)]


@pytest.mark.parametrize("key", ["pre", "post"])
def test_an_error_names_the_line_of_the_statement(build: Build, key: str) -> None:
    make = {"pre": pre, "post": post}[key]
    outcome = build("select 1 as i", make("select 1\nfrom s.nowhere", line=7))
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.line) == (ErrorKind.MISSING_RELATION, 8)
    assert outcome.error.message.startswith(f"{key}_statements: ")
    outcome = build("select 1 as i", make("select 1\nfrom s.nowhere", 7, "dagster_models.yaml"))
    assert outcome.error is not None
    assert outcome.error.line is None
    assert outcome.error.message.startswith(f"dagster_models.yaml:8: {key}_statements: ")


@pytest.mark.parametrize("view", [False, True])
def test_a_pre_statement_before_a_change_of_kind(
    session: WarehouseSession, build: Build, view: bool
) -> None:
    """DuckDB would end the transaction there, and lose what was written."""
    session.execute("create table s.log (what varchar)")
    assert build("select 1 as i", view=not view).error is None
    outcome = build("select 2 as i", pre("insert into s.log values ('pre')"), view=view)
    assert outcome.error is None
    assert session.execute("select * from s.log") == [("pre",)]
    assert session.execute("select * from s.t") == [(2,)]


def test_rows_count_what_post_statements_leave(session: WarehouseSession, build: Build) -> None:
    """Else `clean --relations` would take it for a relation that somebody else has written to."""
    two = "select 1 as i union all select 2"
    outcome = build(two, post("delete from s.t where i = 2"), builder="p")
    assert outcome.rows == 1
    (built,) = session.built_by("p")
    assert built.kept == ""


def test_a_stop_during_a_statement_undoes_all(
    system: System, session: WarehouseSession, build: Build
) -> None:
    session.execute("create table s.log (what varchar)")
    extras = replace(pre("insert into s.log values ('pre')"), after=post(system.endless).after)
    stop = Stop()
    task = sql_task("s.t", "select 1 as i", extras=extras)
    timer = threading.Timer(0.5, stop.ask, [session.interrupt])
    timer.start()
    outcome = run(session, task, stop)
    timer.join()
    assert outcome.verdict.value == "canceled"
    assert session.execute("select * from s.log") == []


# Indexes -----------------------------------------------------------------------------------------


def indexes(session: WarehouseSession, system: System) -> set[str]:
    return {name for (name,) in session.execute(system.indexes)}


def with_indexes(*found: Index) -> Extras:
    return Extras(indexes=found)


def test_indexes_are_made_kept_changed_and_dropped(
    system: System, session: WarehouseSession, build: Build
) -> None:
    sql = "select 1 as a, 2 as b"
    both = with_indexes(Index(("a",)), Index(("A", "b"), unique=True, name="mine"))
    assert build(sql, both).error is None
    first = indexes(session, system)
    assert len(first) == 2
    assert "mine" in first
    assert build(sql, both).error is None
    assert indexes(session, system) == first
    with pytest.raises(Exception, match=r"(?i)duplicate|unique"):
        session.execute("insert into s.t values (1, 2)")
    # Another definition of the same name; the other one is not listed any more.
    assert build(sql, with_indexes(Index(("b",), name="mine"))).error is None
    assert indexes(session, system) == {"mine"}
    session.execute("insert into s.t values (1, 2)")
    assert build(sql).error is None
    assert indexes(session, system) == set()


def test_indexes_of_an_incremental_model(
    system: System, session: WarehouseSession, build: Build
) -> None:
    """They stay over each strategy, over changes of columns, and go when they are not listed."""
    made = with_indexes(Index(("a",), unique=True))
    for strategy in ("merge", "delete+insert"):
        session.execute("drop table if exists s.t")
        how = Incremental(strategy, ("a",), on_schema_change="sync_all_columns")
        for sql in (
            "select 1 as a, 2 as b union all select 2, 2",
            "select 1 as a, 3 as b union all select 3, 3",
            "select 1 as a, 4 as b, 5 as c",
        ):
            outcome = build(sql, made, materialization=how)
            assert outcome.error is None, (strategy, sql, outcome.error)
            assert len(indexes(session, system)) == 1
        assert session.execute("select a, b, c from s.t where a = 1") == [(1, 4, 5)]
        # One of a new column, and one that is added to a table which is updated.
        more = with_indexes(*made.indexes, Index(("b",)), Index(("d", "a")))
        outcome = build("select 1 as a, 5 as b, 5 as c, 6 as d", more, materialization=how)
        assert outcome.error is None, (strategy, outcome.error)
        assert len(indexes(session, system)) == len(more.indexes)
    assert build("select 1 as a, 5 as b, 5 as c, 6 as d", materialization=how).error is None
    assert indexes(session, system) == set()


def test_a_column_of_another_type_under_an_index(
    system: System, session: WarehouseSession, build: Build
) -> None:
    made = with_indexes(Index(("a",)))
    how = Incremental("merge", ("a",), on_schema_change="sync_all_columns")
    assert build("select 1 as a, 2 as b", made, materialization=how).error is None
    outcome = build("select 1 as a, 'x' as b", made, materialization=how)
    if system.name == "duckdb":  # it changes no type in a table that has an index
        assert outcome.error is not None
        assert "depend on it" in outcome.error.message
        whole = replace(how, full_refresh=True)
        outcome = build("select 1 as a, 'x' as b", made, materialization=whole)
    assert outcome.error is None, outcome.error
    assert session.execute("select a, b from s.t") == [(1, "x")]
    assert len(indexes(session, system)) == 1


def test_indexes_of_a_snapshot(system: System, session: WarehouseSession, build: Build) -> None:
    made = with_indexes(Index(("k", "valid_to")))
    how = Snapshot("check", ("k",), hard_deletes="new_record")
    for sql in ("select 1 as k, 2 as v", "select 1 as k, 3 as v", "select 2 as k, 3 as v, 4 as w"):
        outcome = build(sql, made, materialization=how)
        assert outcome.error is None, (sql, outcome.error)
        assert len(indexes(session, system)) == 1


def test_an_index_of_somebody_elses_is_never_touched(
    system: System, session: WarehouseSession, build: Build
) -> None:
    session.execute("create table s.other (a int)")
    session.execute("create index theirs on s.other (a)")
    outcome = build("select 1 as a", with_indexes(Index(("a",), name="theirs")))
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.NOT_KEPT
    assert "s.other" in outcome.error.message
    assert indexes(session, system) == {"theirs"}
    how = Incremental("append")  # DuckDB drops all indexes of a table that is replaced
    assert build("select 1 as a", materialization=how).error is None
    session.execute("create index by_hand on s.t (a)")
    assert build("select 2 as a", with_indexes(Index(("a",))), materialization=how).error is None
    assert build("select 3 as a", materialization=how).error is None
    assert indexes(session, system) == {"theirs", "by_hand"}


def test_a_unique_index_refuses_rows_and_nothing_changes(
    session: WarehouseSession, build: Build
) -> None:
    assert build("select 1 as a").error is None
    outcome = build("select 2 as a union all select 2", with_indexes(Index(("a",), unique=True)))
    assert outcome.error is not None
    assert outcome.verdict is Verdict.ROLLED_BACK  # DuckDB finds it as it commits
    assert "uplicate" in outcome.error.message
    assert session.execute("select a from s.t") == [(1,)]


def test_an_index_of_a_type(admin: psycopg.Connection, postgres_build: Build) -> None:
    assert postgres_build("select 1 as a", with_indexes(Index(("a",), type="BRIN"))).error is None
    ((definition,),) = admin.execute("select indexdef from pg_indexes where schemaname = 's'")
    assert "USING brin (a)" in definition


@pytest.fixture
def postgres_build(postgres_dsn: str) -> Any:
    warehouse = postgres_system(postgres_dsn).open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        attempt = 0

        def build(sql: str, extras: Extras | None = None, **more: Any) -> Outcome:
            nonlocal attempt
            attempt += 1
            task = sql_task("s.t", sql, attempt=attempt, extras=extras or Extras(), **more)
            return run(session, task, Stop())

        yield build
    warehouse.close()


# Comments ----------------------------------------------------------------------------------------

COMMENTS = {
    "duckdb": "select {} union all select column_name, comment from duckdb_columns()"
    " where schema_name = 's' and table_name = 't' and comment is not null",
    "postgres": "select {} union all select attname::text, col_description(attrelid, attnum)"
    " from pg_attribute where attrelid = 's.t'::regclass and attnum > 0"
    " and col_description(attrelid, attnum) is not null",
}
OF_RELATION = {
    "duckdb": "'', (select comment from (from duckdb_tables() select schema_name, comment union all"
    " from duckdb_views() select schema_name, comment) where schema_name = 's')",
    "postgres": "'', obj_description('s.t'::regclass)",
}


def comments(system: System, session: WarehouseSession) -> dict[str, str]:
    sql = COMMENTS[system.name].format(OF_RELATION[system.name])
    return {name: str(text) for name, text in session.execute(sql) if text is not None}


@pytest.mark.parametrize("view", [False, True])
def test_descriptions_become_comments(
    system: System, session: WarehouseSession, build: Build, view: bool
) -> None:
    said = Extras(comment='It\'s "ours"\n%s', column_comments={"A": "the 'a'", "b": "b %"})
    sql = "select 1 as a, 2 as b"
    for _ in range(2):
        outcome = build(sql, said, view=view, builder="p")
        assert outcome.error is None, outcome.error
        assert outcome.notes == ()
        found = comments(system, session)
        # DuckDB keeps our mark there, too.
        assert found.pop("").split("\n\n(")[0] == 'It\'s "ours"\n%s'
        assert found == {"a": "the 'a'", "b": "b %"}
        (built,) = session.built_by("p")
        assert built.kept == ""


def test_a_description_that_is_removed_takes_its_comment_away(
    system: System, session: WarehouseSession, build: Build
) -> None:
    how = Incremental("append")
    sql = "select 1 as a, 2 as b"
    said = Extras(comment="ours", column_comments={"a": "old", "b": "kept"})
    assert build(sql, said, materialization=how).error is None
    left = build(sql, Extras(comment="", column_comments={"b": "kept"}), materialization=how)
    found = comments(system, session)
    assert (found.pop("", "") or "").startswith("ours") is False
    assert found == {"b": "kept"}
    assert "persist_docs: the comment of the column a was removed" in "".join(left.notes)
    # Without persist_docs nothing is changed.
    assert build(sql, materialization=how).error is None
    assert comments(system, session)["b"] == "kept"


# Grants ------------------------------------------------------------------------------------------


@pytest.fixture
def roles(admin: psycopg.Connection) -> Any:
    names = ("dm_reader", "dm Writer", "dm_other")
    for name in names:
        admin.execute(f'create role "{name}"'.encode())
    yield names
    for name in names:
        admin.execute(f'drop owned by "{name}"; drop role "{name}"'.encode())


def granted(admin: psycopg.Connection) -> set[tuple[str, str]]:
    return set(
        admin.execute(
            "select lower(privilege_type), grantee from information_schema.role_table_grants"
            " where table_schema = 's' and table_name = 't' and grantee <> grantor"
        ).fetchall()
    )


@pytest.mark.parametrize("view", [False, True])
def test_grants_are_exactly_those_listed(
    admin: psycopg.Connection, roles: Any, postgres_build: Build, view: bool
) -> None:
    asked = Extras(grants={"select": ("dm_reader", "DM writer"), "insert": ("public",)})
    sql = "select 1 as a"
    outcome = postgres_build(sql, asked, view=view)
    assert outcome.error is None, outcome.error
    listed = {("select", "dm_reader"), ("select", "dm Writer"), ("insert", "PUBLIC")}
    assert granted(admin) == listed
    # Over a rebuild in place, and one with other columns.
    for query in (sql, "select 'x' as b"):
        outcome = postgres_build(query, asked, view=view)
        assert (outcome.error, outcome.notes) == (None, ())
        assert granted(admin) == listed
    # What nobody listed is taken away if its privilege is listed, with a note, and else stays.
    admin.execute("grant select, update on s.t to dm_other")
    fewer = Extras(grants={"select": ("dm_reader",), "insert": ()})
    outcome = postgres_build("select 'x' as b", fewer, view=view)
    assert outcome.error is None
    assert granted(admin) == {("select", "dm_reader"), ("update", "dm_other")}
    assert sorted(outcome.notes) == [
        "grants: insert was revoked from public, which is not listed",
        "grants: select was revoked from dm Writer, which is not listed",
        "grants: select was revoked from dm_other, which is not listed",
    ]
    # Without the key nothing is changed.
    assert postgres_build("select 'x' as b", view=view).error is None
    assert granted(admin) == {("select", "dm_reader"), ("update", "dm_other")}


def test_what_others_have_granted_is_theirs(
    admin: psycopg.Connection, roles: Any, postgres_build: Build
) -> None:
    assert postgres_build("select 1 as a").error is None
    admin.execute("grant usage on schema s to dm_reader")
    admin.execute("grant select on s.t to dm_reader with grant option")
    admin.execute("set role dm_reader; grant select on s.t to dm_other; reset role")
    asked = Extras(grants={"select": ("dm_reader",)})
    outcome = postgres_build("select 1 as a", asked)
    assert (outcome.error, outcome.notes) == (None, ())
    assert granted(admin) == {("select", "dm_reader"), ("select", "dm_other")}


def test_a_role_that_there_is_not(
    admin: psycopg.Connection, roles: Any, postgres_build: Build
) -> None:
    assert postgres_build("select 1 as a").error is None
    outcome = postgres_build("select 2 as a", Extras(grants={"select": ("dm_readers",)}))
    assert outcome.error is not None
    assert "no role `dm_readers`" in outcome.error.message
    assert "Did you mean `dm_reader`?" in outcome.error.message
    assert admin.execute("select a from s.t").fetchall() == [(1,)]
    assert granted(admin) == set()
