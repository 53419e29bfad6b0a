"""Functions in the warehouse: what they return, and what happens to those that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import Function
from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession, find_proof
from systems import System, instrument, session_of
from tasks import sql_task

ONE = Function((("a", "integer"),), (("", "bigint"),))
TIMES_10 = 'select CAST("$a" AS integer) * 10'
TIMES_100 = 'select CAST("$a" AS integer) * 100'
COUNTS = Function((("n", "integer"),), (("i", "bigint"), ("t", "varchar(9)")))
SERIES = "select 'x' as t, i from (values (1), (2), (3)) as v(i) where i <= CAST(\"$n\" AS integer)"

attempts = iter(range(10_000))


def task(how: Function, sql: str, **more: Any) -> BuildTask:
    built = sql_task("s.f", sql, attempt=next(attempts), **more)
    return replace(built, materialization=how)


def build(session: WarehouseSession, how: Function, sql: str, **more: Any) -> Outcome:
    return run(session, task(how, sql, **more), Stop())


def made(session: WarehouseSession, how: Function, sql: str) -> None:
    outcome = build(session, how, sql)
    assert outcome.error is None, outcome.error


def refused(session: WarehouseSession, how: Function, sql: str) -> str:
    outcome = build(session, how, sql)
    assert outcome.error is not None
    return outcome.error.message


def rows(session: WarehouseSession, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in session.query(sql)[1]]


def test_values(session: WarehouseSession) -> None:
    made(session, ONE, TIMES_10)
    assert rows(session, "select s.f(4), s.f(2 + 1), s.f(null)") == [(40, 30, None)]
    made(session, COUNTS, SERIES)
    assert rows(session, "select * from s.f(2) order by i") == [(1, "x"), (2, "x")]
    names, _ = session.query("select * from s.f(2)")
    assert names == ["i", "t"]  # by name, in the order of the header
    made(session, Function((), (("", "date"),)), "select '2026-01-02'")
    assert str(rows(session, "select s.f()")[0][0]) == "2026-01-02"


def test_what_it_returns_has_the_type_that_it_says(session: WarehouseSession) -> None:
    made(session, Function((), (("", "decimal(9,1)"),)), "select 1.25")
    assert str(rows(session, "select s.f()")[0][0]) == "1.3"
    made(
        session,
        Function((("a", "decimal(9,1)"),), (("", "varchar"),)),
        'select CAST("$a" AS decimal(9,1))',
    )
    assert rows(session, "select s.f(1.26)") == [("1.3",)]


def test_more_than_one_row_is_no_value(session: WarehouseSession) -> None:
    made(session, ONE, "select i from (values (1), (2)) as v(i)")
    with pytest.raises(WarehouseError, match=r"(?i)more than one row"):
        session.query("select s.f(1)")


def test_a_new_body_is_seen_by_the_views_that_call_it(session: WarehouseSession) -> None:
    made(session, ONE, TIMES_10)
    session.execute("create view s.v as select s.f(4) as x")
    made(session, ONE, TIMES_100)
    assert rows(session, "select x from s.v") == [(400,)]


CHANGES = {
    "the name of an argument": replace(ONE, arguments=(("b", "integer"),)),
    "the type of an argument": replace(ONE, arguments=(("a", "numeric(9,2)"),)),
    "one more argument": replace(ONE, arguments=(("a", "integer"), ("b", "integer"))),
    "the type of the value": replace(ONE, returns=(("", "integer"),)),
    "a table": COUNTS,
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_form_takes_its_place(session: WarehouseSession, change: str) -> None:
    how = CHANGES[change]
    made(session, ONE, TIMES_10)
    sql = SERIES if how is COUNTS else f'select CAST("${how.arguments[0][0]}" AS integer) + 1'
    made(session, how, sql)
    call = f"s.f({', '.join('3' for _ in how.arguments)})"
    if how is COUNTS:
        assert len(rows(session, f"select * from {call}")) == 3
        with pytest.raises(WarehouseError):  # the function of one value has gone
            session.query("select s.f(3) + 1")
    else:
        assert rows(session, f"select {call}") == [(4,)]
    made(session, ONE, TIMES_10)  # and back: there is one function of the name, not two
    assert rows(session, "select s.f(4)") == [(40,)]


def test_views_that_still_work_are_kept(session: WarehouseSession) -> None:
    made(session, ONE, TIMES_10)
    session.execute("create view s.v as select s.f(4) + 1 as x")
    session.execute("create view s.w as select x + 1 as y from s.v")
    made(session, replace(ONE, returns=(("", "integer"),)), TIMES_100)
    assert rows(session, "select x, y from s.v, s.w") == [(401, 402)]


def test_a_relation_of_the_name_is_kept(session: WarehouseSession) -> None:
    session.execute("create table s.f as select 1 as x")
    assert "s.f is a relation, which would stay beside the function" in refused(
        session, ONE, TIMES_10
    )
    assert rows(session, "select x from s.f") == [(1,)]
    with pytest.raises(WarehouseError):
        session.query("select s.f(1)")


def test_an_error_leaves_the_old_one_and_names_the_line(session: WarehouseSession) -> None:
    made(session, ONE, TIMES_10)
    outcome = build(session, ONE, "select 1 +\nno_such_function(2)")
    assert outcome.error is not None
    assert outcome.error.line == 2
    outcome = build(session, COUNTS, "select 1 as i,\nno_such_column as t")
    assert outcome.error is not None
    assert outcome.error.line == 2
    assert rows(session, "select s.f(4)") == [(40,)]


def test_a_check_that_fails_leaves_the_old_one(session: WarehouseSession) -> None:
    made(session, ONE, TIMES_10)
    check = CheckTask("c", "select 1 where s.f(1) <> 10")
    outcome = build(session, ONE, TIMES_100, checks=(check,))
    assert outcome.checks[0].failures == 1
    assert rows(session, "select s.f(4)") == [(40,)]


def test_it_is_there_exactly_if_its_record_is(warehouse: OpenWarehouse) -> None:
    with session_of(warehouse) as session:
        session.prepare(["s"])
        made(session, ONE, TIMES_10)
    for point in ("before_write_record", "before_commit", "after_commit"):
        with session_of(warehouse) as session:

            def fail() -> None:
                raise WarehouseError(ErrorKind.OTHER, "something is wrong")

            later = task(ONE, f"{TIMES_100} + {len(point)}")
            run(instrument(session, **{point: fail}), later, Stop())
        with session_of(warehouse) as session:
            proof = find_proof(session, later.relation, later.id)
            assert rows(session, "select s.f(1) = 10") == [(proof is None,)]


def test_others_of_its_name_are_refused(postgres_dsn: str, admin: psycopg.Connection) -> None:
    from systems import postgres_system

    warehouse = postgres_system(postgres_dsn).open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        made(session, ONE, TIMES_10)
        admin.execute("create function s.f(text) returns text language sql as 'select $1'")
        message = refused(session, ONE, TIMES_100)
        assert "s.f(integer)" in message
        assert "s.f(text)" in message
        admin.execute("drop function s.f(text)")
        made(session, ONE, TIMES_100)
    warehouse.close()


def test_what_hangs_on_it_survives_another_form(
    postgres_dsn: str, admin: psycopg.Connection
) -> None:
    from systems import postgres_system

    warehouse = postgres_system(postgres_dsn).open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        made(session, ONE, TIMES_10)
        admin.execute("create view s.strangers as select s.f(4) as x")
        admin.execute("comment on function s.f(integer) is 'it''s {} 100%'")
        admin.execute("revoke execute on function s.f from public")
        admin.execute("drop role if exists caller_of_f")
        admin.execute("create role caller_of_f")
        admin.execute("grant execute on function s.f to caller_of_f")
        made(session, replace(ONE, arguments=(("a", "bigint"),)), TIMES_100)
        assert admin.execute("select x from s.strangers").fetchall() == [(400,)]
        about = "select obj_description('s.f'::regproc), proacl::text from pg_proc where oid = "
        comment, rights = admin.execute(about + "'s.f'::regproc").fetchall()[0]
        assert comment == "it's {} 100%"
        assert "caller_of_f=X/" in rights
        assert "{=X/" not in rights
        # A view that would not work any more is somebody's, so that the change is refused.
        message = refused(session, replace(ONE, arguments=(("a", "date"),)), "select 1")
        assert "s.strangers" in message
        assert admin.execute("select x from s.strangers").fetchall() == [(400,)]
        admin.execute("drop owned by caller_of_f; drop role caller_of_f")
    warehouse.close()


def test_two_runs_take_turns(system: System) -> None:
    """The second one replaces what the first one has made, whatever its form."""
    warehouse = system.open()
    with session_of(warehouse) as one, session_of(warehouse) as two:
        one.prepare(["s"])
        made(one, ONE, TIMES_10)
        made(two, replace(ONE, arguments=(("b", "bigint"),)), 'select CAST("$b" AS bigint)')
        made(one, ONE, TIMES_100)
        assert rows(two, "select s.f(1)") == [(100,)]
    warehouse.close()
