"""A table that somebody else has built is taken over as it stands, and builds go on from it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from dagster_models.core.adopted import Adopted
from dagster_models.core.changes import Changes
from dagster_models.core.commit import ADOPTED
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Replace,
    Snapshot,
)
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.parts import built, standing
from dagster_models.core.tasks import BuildTask, Query
from dagster_models.core.windows import Partition, TimeWindow
from dagster_models.errors import WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.adoption import adopt
from dagster_models.warehouses.base import WarehouseSession
from systems import System
from tasks import sql_task

T = Relation("s", "t")
MERGE = Incremental("merge", ("k",), code_version="v1")
SNAPSHOT = Snapshot("check", ("k",), valid_from="dbt_valid_from", valid_to="dbt_valid_to")
MARKED = replace(SNAPSHOT, hard_deletes="new_record", is_deleted="dbt_is_deleted")
TABLE = "create table s.t as select 1 as k, cast('a' as varchar(9)) as v"
QUERY = "select 1 as k, cast('a' as varchar(9)) as v"
#: As dbt begins a snapshot of the query.
HISTORY = f"""create table s.t as select q.*, 'x' as dbt_scd_id,
 timestamp '2024-01-01' as dbt_updated_at, timestamp '2024-01-01' as dbt_valid_from,
 cast(null as timestamp) as dbt_valid_to from ({QUERY}) as q"""
BY_DAY = "select date '2024-01-01' as day, 10 as n union all select date '2024-01-02', 20"
ATTEMPTS = count(1)


def task(sql: str, how: Materialization, attempt: int, code: str = "v1") -> BuildTask:
    made = sql_task("s.t", sql, attempt=attempt, builder="shop")
    return replace(made, materialization=how, code_version=code, run_id=f"r{next(ATTEMPTS)}")


def adopted(
    session: WarehouseSession, how: Materialization, sql: str = QUERY, builder: str = "shop"
) -> Adopted:
    """Adopt s.t; whatever comes of it, the rows and columns are as they were."""
    before = state(session)
    found = adopt(session, replace(task(sql, how, ADOPTED), builder=builder))
    assert state(session) == before
    assert not session.in_transaction
    return found


def state(session: WarehouseSession) -> Any:
    return session.columns(T), session.query("select * from s.t order by 1")


def build(session: WarehouseSession, how: Materialization, sql: str, code: str = "v1") -> Outcome:
    return run(session, task(sql, how, 1, code), Stop())


def comment_of(system: System, session: WarehouseSession) -> str:
    in_postgres = "select obj_description('s.t'::regclass)"
    in_duckdb = "select comment from duckdb_tables() where table_name = 't'"
    asked = in_postgres if system.name == "postgres" else in_duckdb
    return str(session.query(asked)[1][0][0])


def test_builds_go_on_from_a_table_as_from_one_of_ours(
    system: System, session: WarehouseSession
) -> None:
    session.execute(TABLE)
    session.execute("comment on table s.t is 'of dbt'")
    assert adopted(session, MERGE) == Adopted("adopted")
    (commit,) = session.last_proofs([T])
    assert (commit.kind, commit.rows, commit.changes) == ("adopted", 1, None)
    assert commit.is_adopted
    assert comment_of(system, session).startswith("of dbt")
    # It is ours, and is not dropped as what a run of ours has made.
    (ours,) = session.built_by("shop")
    assert ours.kept == "it was adopted from dbt, and no run has built it since"
    # Nothing more comes of a second time.
    assert adopted(session, MERGE) == Adopted("recorded")
    assert session.find_proofs(T) == [commit]
    assert adopted(session, MERGE, builder="books") == Adopted(
        "left", "shop has built it, or has adopted it before"
    )
    # Other code than that which was adopted is seen, and its rows go into the same table.
    more = f"{QUERY} union all select 2, cast('b' as varchar(9))"
    outcome = build(session, replace(MERGE, code_version="v2"), more, "v2")
    assert outcome.changes == Changes("delta", None, 1, 0, 0), outcome.error
    assert "the code of s.t has changed" in outcome.notes[0]
    (ours,) = session.built_by("shop")
    assert not ours.kept


def test_what_somebody_replaces_after_that_is_adopted_anew(session: WarehouseSession) -> None:
    session.execute(TABLE)
    assert adopted(session, MERGE) == Adopted("adopted")
    session.execute("drop table s.t")
    session.execute(TABLE)
    assert adopted(session, MERGE) == Adopted("adopted")


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        (f"{QUERY}, 2 as more", "the table does not have `more` ({INTEGER})"),
        ("select 1 as k", "the query does not return `v`"),
        (
            "select cast(1 as bigint) as k, cast('a' as varchar(9)) as v",
            "`k` is {INTEGER} in the table, and the query returns {BIGINT}",
        ),
    ],
)
def test_other_columns_are_left(
    system: System, session: WarehouseSession, sql: str, why: str
) -> None:
    session.execute(TABLE)
    why = why.format_map({name: system.type_of(name) for name in ("INTEGER", "BIGINT")})
    assert adopted(session, MERGE, sql) == Adopted("left", why)
    assert session.last_proofs([T]) == []


def of_days(*days: int, sql: str = BY_DAY) -> BuildTask:
    """A task about these days of January; the user calls them built if the attempt adopts."""
    windows = Partitioned("day", tuple(map(a_day, days)))
    how = Incremental("replace", code_version="v1", partitioned=windows)
    return task(sql, how, ADOPTED)


def a_day(number: int) -> Partition:
    start = dt.datetime(2024, 1, number, tzinfo=dt.timezone.utc)
    return Partition(f"2024-01-{number:02}", TimeWindow(start, start + dt.timedelta(days=1)))


def keys_built(session: WarehouseSession) -> tuple[str, ...]:
    return built(session.find_proofs(T), [a_day(number) for number in (1, 2, 3)])


def test_a_table_with_partitions_none_of_which_counts_as_built(
    session: WarehouseSession,
) -> None:
    session.execute(f"create table s.t as {BY_DAY}")
    found = adopt(session, of_days())
    assert (found.state, "none counts as built" in found.why) == ("adopted", True)
    assert keys_built(session) == ()
    assert standing(session.find_proofs(T), [a_day(1)], session.find_proofs(T)) == ()
    # A build replaces the rows of its partitions, and is known from now on.
    first = of_days(1, sql=BY_DAY.replace("10 as n", "11 as n"))
    assert run(session, replace(first, attempt=1), Stop()).error is None
    rows = session.query("select n from s.t order by 1")[1]
    assert [n for (n,) in rows] == [11, 20]
    assert keys_built(session) == ("2024-01-01",)
    # What somebody makes anew has none of the partitions that were built before.
    session.execute("drop table s.t")
    session.execute(f"create table s.t as {BY_DAY}")
    assert adopt(session, of_days()).state == "adopted"
    assert keys_built(session) == ()


def test_partitions_that_the_user_calls_built(session: WarehouseSession, system: System) -> None:
    session.execute(f"create table s.t as {BY_DAY}; comment on table s.t is 'Theirs'")
    assert adopt(session, of_days()).state == "adopted"
    assert adopt(session, of_days(1, 3)) == Adopted("adopted")  # more is known now
    if system.name == "duckdb":  # the mark stands in the comment, once
        ((comment,),) = session.query("select comment from duckdb_tables() where table_name = 't'")[
            1
        ]
        assert (comment[:10], comment.count("adopted by")) == ("Theirs\n\n(a", 1)
    assert keys_built(session) == ("2024-01-01", "2024-01-03")
    assert [it.is_adopted for it in session.find_proofs(T)] == [True] * 3
    assert adopt(session, of_days(1, 3)) == Adopted("recorded")
    # What has been missing since is not called built by the same word.
    found = adopt(session, of_days(1, 2, 3))
    assert (found.state, found.why[:22]) == ("recorded", "1 partition is missing")
    assert keys_built(session) == ("2024-01-01", "2024-01-03")


def test_a_column_that_cannot_be_compared_with_the_partitions_is_left(
    session: WarehouseSession,
) -> None:
    query = "select 1 as k, cast('a' as varchar(9)) as day"
    session.execute(f"create table s.t as {query}")
    with pytest.raises(WarehouseError, match="day"):
        adopt(session, of_days(1, sql=query))
    assert session.last_proofs([T]) == []


@pytest.mark.parametrize("system", ["postgres"], indirect=True)
@pytest.mark.parametrize("made", ["incremental", "of_days"])
def test_a_partitioned_table_of_postgres(session: WarehouseSession, made: str) -> None:
    session.execute("create table s.t (day date, n integer) partition by range (day)")
    for name, ends in {
        "a": ("2024-01-01", "2024-01-02"),
        "b": ("2024-01-02", "2024-01-09"),
    }.items():
        of = f"for values from ('{ends[0]}') to ('{ends[1]}')"
        session.execute(f"create table s.{name} partition of s.t {of}")
    session.execute(f"insert into s.t {BY_DAY}")
    asked = of_days()
    if made == "incremental":
        asked = task(BY_DAY, Incremental("append", code_version="v1"), ADOPTED)
    assert adopt(session, asked).state == "adopted"
    added = "select date '2024-01-05' as day, 50 as n"
    again = of_days(5, sql=added)
    if made == "incremental":
        again = task(added, Incremental("append", code_version="v1"), 1)
    assert run(session, replace(again, attempt=1), Stop()).error is None
    rows = session.query("select tableoid::regclass::text, n from s.t order by n")[1]
    assert list(map(tuple, rows)) == [("s.a", 10), ("s.b", 20), ("s.b", 50)]
    # A full refresh replaces its rows, and other columns are refused.
    how = replace(again.materialization, full_refresh=True)
    whole = replace(again, attempt=2, materialization=how)
    assert run(session, whole, Stop()).error is None
    placed = session.query("select tableoid::regclass::text, n from s.t")[1]
    assert list(map(tuple, placed)) == [("s.b", 50)]
    more = replace(whole, attempt=3, content=Query(f"{added}, 1 as more"))
    error = run(session, more, Stop()).error
    assert error is not None
    assert "it is a partitioned table" in error.message


def test_what_no_build_goes_on_from(session: WarehouseSession) -> None:
    made = task(QUERY, MERGE, ADOPTED)
    assert adopt(session, made) == Adopted("missing")
    assert adopt(session, replace(made, materialization=Replace())) == Adopted("missing")
    session.execute(f"create view s.t as {QUERY}")
    assert adopt(session, made) == Adopted("left", "it is a view")
    assert adopt(session, replace(made, materialization=Replace())) == Adopted(
        "left", "it is a view"
    )
    assert session.last_proofs([T]) == []


def test_a_history_goes_on_and_is_kept_from_now_on(session: WarehouseSession) -> None:
    session.execute(HISTORY)
    assert adopted(session, SNAPSHOT) == Adopted("adopted")
    refused = build(session, Replace(), QUERY)
    assert (refused.verdict, refused.error and refused.error.name) == (
        Verdict.ROLLED_BACK,
        "HistoryInTheWay",
    )
    outcome = build(session, SNAPSHOT, "select 1 as k, cast('b' as varchar(9)) as v")
    assert outcome.changes == Changes("snapshot", None, 0, 1, 0), outcome.error
    rows = session.query("select v, dbt_scd_id, dbt_valid_to is null from s.t order by 1")[1]
    assert list(map(tuple, rows)) == [("a", "x", False), ("b", None, True)]


@pytest.mark.parametrize("system", ["duckdb", "postgres"], indirect=True)
@pytest.mark.parametrize("type_", ["date", "timestamp with time zone"])
def test_the_statements_of_the_report_mend_the_columns_of_a_history(
    session: WarehouseSession, type_: str
) -> None:
    """dbt gives its moments the type of `updated_at`, and marks deletions by a text."""
    session.execute("set timezone = 'UTC'")
    session.execute(HISTORY)
    session.execute("alter table s.t add column dbt_is_deleted varchar")
    session.execute("update s.t set dbt_is_deleted = 'False'")
    for name in ("dbt_valid_from", "dbt_valid_to"):
        session.execute(f"alter table s.t alter column {name} type {type_}")
    found = adopted(session, MARKED)
    assert found.state == "left"
    what, _, statements = found.why.partition("; to make the snapshot's own columns fit, run ")
    assert [it.split("`")[1] for it in what.split("; ")] == [*MARKED.own_columns]
    for statement in statements.split("; "):
        session.execute(statement)
    assert adopted(session, MARKED) == Adopted("adopted")
    outcome = build(session, MARKED, f"select * from ({QUERY}) as q where k = 2")
    assert outcome.changes == Changes("snapshot", None, 0, 0, 1), outcome.error
    rows = session.query("select dbt_is_deleted from s.t order by dbt_valid_from")[1]
    assert [it for (it,) in rows] == [False, True]
