"""An incremental build leaves what a plain Python model of it leaves, in every warehouse."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Reading,
    Replace,
    Since,
    Snapshot,
)
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.stand_ins import SINCE
from dagster_models.core.tasks import Query
from dagster_models.errors import ErrorKind
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from dagster_models.warehouses.materializations import merge
from dagster_models.warehouses.postgres import columns as postgres_columns
from incremental_oracle import (
    Row,
    check_conditions_of_a_merge,
    check_keys_that_a_condition_meets,
    check_outcome,
    query_of,
    random_builds,
)
from systems import System, T, instrument, session_of
from tasks import arrow_task, sql_task

#: Random histories of each strategy and warehouse; CI runs a share.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "6"))

Build = Callable[..., Outcome]


def rows(session: WarehouseSession, table: str = "s.t") -> list[Row]:
    return sorted(session.query(f"select * from {table}")[1], key=str)


def values(*given: Row) -> str:
    return query_of("varchar", *given)


MERGE = Incremental("merge", ("k", "l"))


# Histories ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_random_histories(session: WarehouseSession, build: Build, strategy: str) -> None:
    """Rows with NULLs and duplicates, composite keys, reruns and full refreshes."""
    session.execute("create table s.source (k int, l varchar, v int)")
    fails = 0
    for seed in range(HISTORIES):
        session.execute("drop table if exists s.t")
        table: list[Row] | None = None
        for step, (how, given) in enumerate(random_builds(strategy, seed)):
            session.execute(f"delete from s.source; insert into s.source {values(*given)}")
            outcome = build("select * from s.source", how)
            story = (strategy, seed, step, given, table)
            table = check_outcome(outcome, how, table, given, story)
            fails += outcome.error is not None
            if table is not None:
                assert rows(session) == sorted(table, key=str), story
    assert fails or strategy == "append"


def test_the_record_says_what_was_changed(session: WarehouseSession, build: Build) -> None:
    build(values((1, "x", 1), (2, "x", 2)), MERGE)
    outcome = build(values((1, "x", 9), (2, "x", 2), (3, "x", 3)), MERGE)
    assert outcome.changes == Changes("delta", None, 1, 1, 0)
    (commit,) = session.last_proofs()
    assert commit.changes == outcome.changes
    assert (commit.kind, commit.rows, commit.part) == ("delta", outcome.rows, 0)
    assert Outcome.from_json(outcome.to_json()) == outcome


# Keys --------------------------------------------------------------------------------------------


def test_a_null_key_fails_with_an_example(session: WarehouseSession, build: Build) -> None:
    for first in (True, False):  # the first build is guarded, too
        outcome = build(values((1, "x", 1), (2, None, 7)), MERGE)
        assert outcome.error is not None
        assert "1 row has NULL in unique_key (k, l)" in outcome.error.message
        assert "k=2, l=NULL, v=7" in outcome.error.message
        if first:
            assert build(values((1, "x", 0)), MERGE).error is None
    assert rows(session) == [(1, "x", 0)]


def test_a_key_that_occurs_twice_fails_a_merge_only(
    session: WarehouseSession, build: Build
) -> None:
    twice = values((1, "x", 1), (1, "x", 2), (2, "x", 3))
    outcome = build(twice, MERGE)
    assert outcome.error is not None
    assert "k=1, l=x, rows=2" in outcome.error.message
    both = replace(MERGE, strategy="delete+insert")
    assert build(twice, both).error is None
    assert build(twice, both).changes == Changes("delta", None, 3, 0, 3)
    assert len(rows(session)) == 3


@pytest.mark.parametrize("twice", ["select 1 as k, 1 as v union all select 1, 2", "select null, 1"])
@pytest.mark.parametrize("before", [None, Replace(), Incremental("append")])
def test_keys_that_another_build_has_left_are_refused(
    session: WarehouseSession, build: Build, twice: str, before: Materialization | None
) -> None:
    """Also those that the new rows do not meet."""
    made = f"select cast(k as int) as k, v from ({twice}) as t(k, v)"
    if before is None:
        session.execute(f"create table s.t as {made}")
    else:
        assert build(made, before).error is None
    how = Incremental("merge", ("k",), code_version="with a key")
    outcome = build("select 5 as k, 5 as v", how)
    assert outcome.error is not None
    assert outcome.error.name == "KeysOfTable"
    example = "more than once in s.t: k=1, rows=2" if "union" in twice else "rows of s.t: k=NULL"
    assert example in outcome.error.message
    assert len(rows(session)) == len(twice.split("union"))
    assert build("select 5 as k, 5 as v", replace(how, full_refresh=True)).error is None
    assert rows(session) == [(5, 5)]


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_rows_of_older_code_are_noted_once(session: WarehouseSession, strategy: str) -> None:
    def notes(attempt: int, version: str, **more: Any) -> tuple[str, ...]:
        key = () if strategy == "append" else ("k",)
        how = Incremental(strategy, key, code_version=version, **more)
        task = sql_task("s.t", f"select {attempt} as k", attempt=attempt, code_version=version)
        outcome = run(session, replace(task, materialization=how), Stop())
        assert outcome.error is None, outcome.error
        return outcome.notes

    assert notes(1, "one") == notes(2, "one") == ()
    (note,) = notes(3, "two")
    assert note.startswith("the code of s.t has changed since its last build: the rows that were")
    assert notes(4, "two") == ()
    assert notes(5, "three", full_refresh=True) == notes(6, "three") == ()
    assert notes(7, "four", on_code_change="keep") == ()


def test_keys_that_somebody_has_doubled_since_are_refused_when_they_are_met(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("merge", ("k",))
    assert build("select 1 as k, 1 as v", how).error is None
    session.execute("insert into s.t select 1, 2")
    assert build("select 2 as k, 2 as v", how).changes == Changes("delta", None, 1, 0, 0)
    outcome = build("select 1 as k, 3 as v union all select 3, 3", how)
    assert outcome.error is not None
    assert "more than once in s.t: k=1, rows=2" in outcome.error.message
    assert rows(session) == [(1, 1), (1, 2), (2, 2)]


def test_a_delete_and_insert_takes_what_is_there(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.t as select 1 as k, 1 as v union all select 1, 2")
    how = Incremental("delete+insert", ("k",))
    assert build("select 1 as k, 3 as v", how).changes == Changes("delta", None, 1, 0, 2)


def test_a_key_that_a_trigger_writes_is_not_doubled(
    system: System, session: WarehouseSession, build: Build
) -> None:
    """An UPDATE may let it add a row whose key is one of the new rows', too."""
    if system.speaks_duckdb:
        pytest.skip("it has no triggers")
    how = Incremental("merge", ("k",))
    assert build("select 1 as k, 1 as v", how).error is None
    session.execute(
        "create function s.f() returns trigger language plpgsql as"
        " 'begin insert into s.t values (new.k + 1, 0); return null; end';"
        "create trigger adds after update on s.t for each row execute function s.f()"
    )
    assert build("select 1 as k, 9 as v union all select 2, 2", how).error is None
    assert rows(session) == [(1, 9), (2, 0)]


def test_a_key_that_is_no_column(build: Build) -> None:
    outcome = build(values(), Incremental("merge", ("id",)))
    assert outcome.error is not None
    assert "unique_key: the query has no column `id`; it has k, l, v" in outcome.error.message


def test_a_key_is_found_whatever_its_case(session: WarehouseSession, build: Build) -> None:
    how = Incremental("merge", ("K",))
    build(values((1, "x", 1)), how)
    build(values((1, "x", 2)), how)
    assert rows(session) == [(1, "x", 2)]


@pytest.mark.parametrize(
    "how",
    [
        Incremental("merge", ("k", "K", "k")),
        Incremental("delete+insert", ("k", "k")),
        Snapshot("check", ("k", "K")),
    ],
)
def test_a_key_that_is_named_twice(
    session: WarehouseSession, build: Build, how: Materialization
) -> None:
    for value in (1, 2):
        assert build(f"select 1 as k, {value} as v", how).error is None
    assert session.query("select count(*) from s.t where v = 2")[1] == [(1,)]


@pytest.mark.parametrize(
    "which",
    [{"merge_update_columns": ("V",)}, {"merge_exclude_columns": ("first_seen", "note")}],
)
def test_a_merge_leaves_the_columns_that_it_is_not_to_write(
    session: WarehouseSession, build: Build, which: dict[str, tuple[str, ...]]
) -> None:
    """Of a row whose key is there; a new row is inserted whole, and a NULL there stays."""
    how = Incremental("merge", ("k",), **which)  # type: ignore[arg-type]
    columns = ("k", "v", "first_seen", "note")

    def query(*given: tuple[object, ...]) -> str:
        text = " union all ".join(
            "select cast({} as int) as k, cast({} as int) as v, cast({} as int) as first_seen,"
            " cast({} as varchar) as note".format(*("null" if it is None else it for it in row))
            for row in given
        )
        return f"select * from ({text}) as given"

    assert build(query((1, 1, 1, "'a'"), (2, 2, 1, None), (3, 3, 1, "'c'")), how).error is None
    outcome = build(query((1, 10, 2, "'x'"), (2, 2, 2, "'y'"), (4, 4, 2, "'d'")), how)
    assert outcome.error is None
    listed = ", ".join(columns)
    assert session.query(f"select {listed} from s.t order by k")[1] == [
        (1, 10, 1, "a"),
        (2, 2, 1, None),
        (3, 3, 1, "c"),
        (4, 4, 2, "d"),
    ]
    assert outcome.changes is not None  # the row of key 2 would be as it is
    assert (outcome.changes.inserted, outcome.changes.updated) == (1, 1)


def test_a_merge_that_is_to_write_the_key_only_changes_nothing(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("merge", ("k",), merge_update_columns=("k",))
    assert build("select 1 as k, 1 as v", how).error is None
    outcome = build("select * from (select 1 as k, 2 as v union all select 2, 2) as given", how)
    assert outcome.error is None
    assert rows(session) == [(1, 1), (2, 2)]


def test_a_column_of_a_merge_that_the_query_lacks_is_refused(
    session: WarehouseSession, build: Build
) -> None:
    """Also by the first build, which merges nothing."""
    how = Incremental("merge", ("k",), merge_update_columns=("w",))
    expected = "merge_update_columns: the query has no column `w`"
    error = build("select 1 as k, 2 as v", how).error
    assert error is not None
    assert expected in error.message
    assert build("select 1 as k, 2 as w", how).error is None
    error = build("select 1 as k, 3 as v", replace(how, on_schema_change="ignore")).error
    assert error is not None
    assert expected in error.message
    assert rows(session) == [(1, 2)]


@pytest.mark.parametrize("strategy", ["merge", "delete+insert"])
def test_a_row_that_does_not_meet_the_predicates_is_left(
    session: WarehouseSession, build: Build, strategy: str
) -> None:
    """So its key is there twice, as in dbt. The row of key 4 meets one of both, and v is NULL in
    the row of key 5, for which nobody can say that it meets them."""
    how = Incremental(strategy, ("k",), incremental_predicates=("t.k != 2 -- a", "t.v < 40"))
    left: list[Row] = [(2, "b", 2), (4, "d", 40), (5, "e", None)]
    assert build(values((1, "a", 1), *left), how).error is None
    new: list[Row] = [(1, "A", 10), (2, "B", 20), (3, "C", 30), (4, "D", 1), (5, "E", 2)]
    assert build(values(*new), how).error is None
    assert rows(session) == sorted([*new, *left], key=str)
    assert build(values((2, "x", 3), (3, "c", 3)), how).error is None
    assert session.query("select count(*) from s.t where k = 2")[1] == [(3,)]
    assert session.query("select l from s.t where k = 3")[1] == [("c",)]


def test_the_conditions_of_a_merge(session: WarehouseSession, build: Build) -> None:
    check_conditions_of_a_merge(session, build, "varchar")


def test_a_doubled_key_whose_new_row_is_left_out_is_reported(
    session: WarehouseSession, build: Build
) -> None:
    check_keys_that_a_condition_meets(session, build, "varchar")


def test_the_condition_of_a_merge_sees_what_it_does_not_write(
    session: WarehouseSession, build: Build
) -> None:
    condition = "n.l = 'new'"
    how = Incremental(
        "merge", ("k",), merge_exclude_columns=("l",), merge_update_condition=condition
    )
    assert build(values((1, "a", 1), (2, "b", 1)), how).error is None
    assert build(values((1, "new", 2), (2, "old", 2)), how).error is None
    assert rows(session) == [(1, "a", 2), (2, "b", 1)]


def test_a_predicate_of_a_merge_may_ask_for_the_new_row(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("merge", ("k",), incremental_predicates=("n.v > t.v",))
    assert build(values((1, "a", 5), (2, "b", 5)), how).error is None
    outcome = build(values((1, "c", 6), (2, "d", 4)), how)
    assert outcome.error is None
    assert rows(session) == [(1, "c", 6), (2, "b", 5), (2, "d", 4)]
    assert outcome.changes is not None
    assert (outcome.changes.inserted, outcome.changes.updated) == (1, 1)


def test_a_merge_refuses_two_rows_of_one_key_that_meet_the_predicates(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("merge", ("k",), incremental_predicates=("t.v > 1",))
    assert build(values((1, "a", 1), (2, "b", 2)), how).error is None
    assert build(values((1, "a", 3)), how).error is None  # twice by now, and one meets it
    assert build(values((1, "a", 4)), how).error is None
    session.execute("update s.t set v = 2 where v = 1")
    error = build(values((1, "a", 5)), how).error
    assert error is not None
    assert error.name == "KeysOfTable"


def test_a_row_that_meets_the_predicates_until_it_is_updated_is_not_doubled(
    system: System, session: WarehouseSession, build: Build
) -> None:
    """Also where a trigger may write along, so that the table is asked again which rows it has."""
    how = Incremental("merge", ("k",), incremental_predicates=("t.v < 40",))
    assert build("select 1 as k, 1 as v", how).error is None
    if not system.speaks_duckdb:
        session.execute(
            "create function s.f() returns trigger language plpgsql as 'begin return null; end';"
            "create trigger hears after update on s.t for each row execute function s.f()"
        )
    assert build("select 1 as k, 50 as v", how).error is None
    assert rows(session) == [(1, 50)]


def test_a_value_that_equals_the_new_one_becomes_no_other_where_there_are_predicates(
    system: System, session: WarehouseSession, build: Build
) -> None:
    """DuckDB's UPDATE leaves -0.0, and what would be written meanwhile does not meet this one."""
    how = Incremental("merge", ("k",), incremental_predicates=("t.v < 1",))
    query = "select 1 as k, cast('{}' as double precision) as v"
    assert build(query.format("-0.0"), how).error is None
    if system.name != "ducklake":  # it has no indexes
        session.execute("create index i on s.t (k)")
    error = build(query.format("0.0"), how).error
    left = session.query("select cast(v as varchar) from s.t")[1]
    if error is None:
        assert left in ([("0.0",)], [("0",)])
    else:
        assert error.name == "EqualValues"
        assert left == [("-0.0",)]


def test_a_predicate_that_the_warehouse_does_not_understand_fails_the_first_build(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("merge", ("k",), incremental_predicates=("t.nope > 1",))
    error = build(values((1, "a", 1)), how).error
    assert error is not None
    assert "nope" in error.message


def test_a_table_of_keys_only(session: WarehouseSession, build: Build) -> None:
    how = Incremental("merge", ("k",))
    build("select 1 as k", how)
    assert build("select 1 as k union all select 2", how).changes == Changes("delta", None, 1, 0, 0)
    assert rows(session) == [(1,), (2,)]


def test_an_empty_delta(session: WarehouseSession, build: Build) -> None:
    build(values((1, "x", 1)), MERGE)
    assert build(values(), MERGE).changes == Changes("delta", None, 0, 0, 0)
    assert rows(session) == [(1, "x", 1)]


def test_a_view_becomes_the_table(session: WarehouseSession, build: Build) -> None:
    session.execute("create view s.t as select 1 as k")
    assert build(values((1, "x", 1)), MERGE).changes == Changes("whole", None, 1, 0, 0)
    assert rows(session) == [(1, "x", 1)]


# Columns -----------------------------------------------------------------------------------------


def test_columns_are_matched_by_name(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 'a' as l, 'b' as m", Incremental("append"))
    build("select 'b' as m, 2 as k, 'a' as l", Incremental("append"))
    assert rows(session) == [(1, "a", "b"), (2, "a", "b")]


SCHEMAS = {
    "added": "select 2 as k, 'b' as l, 7 as v",
    "gone": "select 2 as k",
    "retyped": "select 2 as k, 5 as l",
    "reordered": "select 'b' as l, 2 as k",
}
FAILS = None
#: Change, policy -> the table afterwards; it held (1, '1') before.
TABLES: dict[tuple[str, str], Any] = {
    ("added", "fail"): FAILS,
    ("added", "ignore"): [(1, "1"), (2, "b")],
    ("added", "append_new_columns"): [(1, "1", None), (2, "b", 7)],
    ("added", "sync_all_columns"): [(1, "1", None), (2, "b", 7)],
    ("gone", "fail"): FAILS,
    ("gone", "ignore"): [(1, "1"), (2, None)],
    ("gone", "append_new_columns"): [(1, "1"), (2, None)],
    ("gone", "sync_all_columns"): [(1,), (2,)],
    ("retyped", "fail"): FAILS,
    ("retyped", "ignore"): FAILS,
    ("retyped", "append_new_columns"): FAILS,
    ("retyped", "sync_all_columns"): [(1, 1), (2, 5)],
    **{
        ("reordered", policy): [(1, "1"), (2, "b")]
        for policy in ("fail", "ignore", "append_new_columns", "sync_all_columns")
    },
}


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
@pytest.mark.parametrize(("change", "policy"), list(TABLES))
def test_on_schema_change(
    system: System,
    session: WarehouseSession,
    build: Build,
    change: str,
    policy: str,
    strategy: str,
) -> None:
    how = Incremental(strategy, () if strategy == "append" else ("k",), policy)
    assert build("select 1 as k, '1' as l", how).error is None
    outcome = build(SCHEMAS[change], how)
    table = TABLES[change, policy]
    if table is FAILS:
        assert outcome.error is not None
        assert outcome.error.name == "SchemaChanged"
        assert "`on_schema_change:" in outcome.error.message
        assert "`full_refresh`" in outcome.error.message
        table = [(1, "1")]
    elif system.name == "ducklake" and change == "retyped":
        assert outcome.error is not None
        assert "DuckLake only widens the type of a column" in outcome.error.message
        table = [(1, "1")]
    else:
        assert outcome.error is None
    assert rows(session) == table


def test_a_changed_type_that_cannot_hold_the_values_is_refused(
    session: WarehouseSession, build: Build
) -> None:
    how = Incremental("append", (), "sync_all_columns")
    build("select cast(1.5 as decimal(9,2)) as n", how)
    outcome = build("select 2 as n", how)
    assert outcome.error is not None
    assert "cannot hold all of its values, e.g. 1.50" in outcome.error.message
    assert [float(n) for (n,) in rows(session)] == [1.5]


def test_half_a_number_is_never_rounded(session: WarehouseSession, build: Build) -> None:
    for policy in ("fail", "ignore", "append_new_columns"):
        how = Incremental("append", (), policy)
        build("select 1 as n", replace(how, full_refresh=True))
        assert build("select 1.5 as n", how).verdict is Verdict.ROLLED_BACK
        assert rows(session) == [(1,)]


@pytest.mark.parametrize("policy", ["ignore", "append_new_columns", "sync_all_columns"])
def test_a_key_that_the_table_does_not_have_yet_is_refused(
    session: WarehouseSession, build: Build, policy: str
) -> None:
    """Old rows would have no value in it, and be doubled."""
    build("select 1 as k, 'a' as v", Incremental("merge", ("k",)))
    how = Incremental("merge", ("k", "l"), policy)
    outcome = build("select 1 as k, 'b' as v, 2 as l", how)
    assert outcome.error is not None
    assert "unique_key: s.t has no column `l`; it has k, v. If it is new" in outcome.error.message
    assert rows(session) == [(1, "a")]
    assert build("select 1 as k, 'b' as v, 2 as l", replace(how, full_refresh=True)).succeeded


# $since ------------------------------------------------------------------------------------------

ZONED = "timestamp '2026-01-01 12:00:00' at time zone 'UTC'"


def since(column: str = "m", lookback: str = "", begin: str = "", **more: Any) -> Incremental:
    return Incremental("merge", ("k",), since=Since(column, lookback, begin), **more)


def literal_of(outcome: Outcome) -> str | None:
    assert outcome.error is None, outcome.error
    assert outcome.changes is not None
    return outcome.changes.since


@pytest.mark.parametrize(
    ("at", "lookback", "literal"),
    [
        ("date '2026-01-05'", "", "DATE '2026-01-05'"),
        ("date '2026-01-05'", "INTERVAL '3 days'", "DATE '2026-01-02'"),
        ("date '2026-01-05'", "INTERVAL '12 hours'", "DATE '2026-01-04'"),
        ("timestamp '2026-01-05 10:00:00.25'", "", "TIMESTAMP '2026-01-05 10:00:00.25'"),
        (
            "timestamp '2026-01-05 10:00:00'",
            "INTERVAL '90 minutes'",
            "TIMESTAMP '2026-01-05 08:30:00'",
        ),
        ("17", "", "CAST('17' AS {int})"),
        ("17", "20", "CAST('-3' AS {int})"),
        ("cast(1.50 as decimal(9,2))", "", "CAST('1.50' AS {decimal})"),
        ("'it''s'", "", "CAST('it''s' AS {text})"),
    ],
)
def test_since_is_a_literal_of_the_columns_type(
    system: System, build: Build, at: str, lookback: str, literal: str
) -> None:
    types = {
        "int": system.type_of("INTEGER"),
        "decimal": system.type_of("DECIMAL(9,2)"),
        "text": system.type_of("VARCHAR"),
    }
    how = since(lookback=lookback)
    query = f"select * from (select 1 as k, {at} as m) as q where m >= {SINCE}"
    assert literal_of(build(query, how)) is not None
    assert literal_of(build(query, how)) == literal.format(**types)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu"])
def test_since_keeps_its_offset(session: WarehouseSession, build: Build, zone: str) -> None:
    """A text with an offset, read as a timestamp, loses it: rows would be read twice or never."""
    session.execute(f"set timezone = '{zone}'")
    session.execute(f"create table s.source as select 1 as k, {ZONED} as m")
    query = f"select * from s.source where m > {SINCE}"
    build(query, since())
    literal = literal_of(build(query, since()))
    assert literal is not None
    assert literal.startswith("TIMESTAMPTZ '2026-01-0")
    assert session.query(f"select {literal} = {ZONED}")[1] == [(True,)]
    for minute in (-1, 1):
        moment = f"{ZONED} + interval '{minute} minutes'"
        session.execute(f"insert into s.source select {minute + 5}, {moment}")
    assert build(query, since()).changes == Changes("delta", literal, 1, 0, 0)
    assert session.query("select k from s.t order by k")[1] == [(1,), (6,)]


@pytest.mark.parametrize(
    "at", ["date '2026-01-05'", "timestamp '2026-01-05'", ZONED, "1", "1.5", "'a'"]
)
def test_a_first_build_begins_before_all_values(
    session: WarehouseSession, build: Build, at: str
) -> None:
    query = f"select * from (select 1 as k, {at} as m) as q where m >= {SINCE}"
    for how in (since(), since(full_refresh=True)):
        assert build(query, how).changes is not None
        assert len(rows(session)) == 1
    session.execute("delete from s.t")
    assert literal_of(build(query, since())) is not None, "an empty table is read as a new one"
    assert len(rows(session)) == 1


def test_a_first_build_begins_where_it_is_told_to(build: Build) -> None:
    query = f"select * from (select 1 as k, 7 as m) as q where m >= {SINCE}"
    assert literal_of(build(query, since(begin="5"))) == "5"


def test_a_type_without_a_smallest_value(build: Build) -> None:
    query = f"select * from (select 1 as k, time '10:00' as m) as q where m >= {SINCE}"
    outcome = build(query, since())
    assert outcome.error is not None
    assert "`since: {column: ..., begin: ...}`" in outcome.error.message


def test_an_error_in_the_query_names_its_line(build: Build) -> None:
    for how in (since(), since(begin="1")):
        outcome = build(f"select 1 as k, 2 as m\nwhere nope > {SINCE}", how)
        assert outcome.error is not None
        assert outcome.error.line == 2
    build("select 1 as k, 2 as m", since())
    outcome = build(f"select 1 as k, 2 as m\n\nwhere nope > {SINCE}", since())
    assert outcome.error is not None
    assert outcome.error.line == 3


def test_since_names_no_column(session: WarehouseSession, build: Build) -> None:
    query = f"select 1 as k where 1 > {SINCE}"
    outcome = build(query, since())
    assert outcome.error is not None
    assert "since: the query has no column `m`; it has k" in outcome.error.message
    session.execute("create table s.t as select 1 as k")
    outcome = build(query, since())
    assert outcome.error is not None
    assert "since: s.t has no column `m`; it has k" in outcome.error.message


def test_a_build_in_full_has_a_query_of_its_own(session: WarehouseSession, build: Build) -> None:
    def task(full: bool) -> Outcome:
        how = Incremental("append", full_refresh=full)
        query = Query("select max(n) + 1 as n from s.t", "select 1 as n")
        made = replace(
            sql_task("s.t", "", attempt=next(attempts)), content=query, materialization=how
        )
        return run(session, made, Stop())

    attempts = iter(range(1, 9))
    for _ in range(3):
        assert task(full=False).error is None
    assert rows(session) == [(1,), (2,), (3,)]
    assert task(full=True).error is None
    assert rows(session) == [(1,)]


# A query that reads its own table ----------------------------------------------------------------


def test_a_table_that_reads_itself(system: System, session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.payments as select 1 as day, 10 as amount")
    decimal = system.type_of("DECIMAL(9,2)")
    day = system.type_of("INTEGER")
    how = Incremental("append", columns=(("day", day), ("balance", decimal)))
    query = """
        select day, coalesce((select balance from s.t order by day desc limit 1), 0)
               + sum(amount) over (order by day) as balance
        from s.payments where day > (select coalesce(max(day), 0) from s.t)
    """
    assert build(query, how).changes == Changes("whole", None, 1, 0, 0)
    session.execute("insert into s.payments select 2, 5 union all select 3, 7")
    assert build(query, how).changes == Changes("delta", None, 2, 0, 0)
    assert build(query, how).changes == Changes("delta", None, 0, 0, 0)
    assert [tuple(map(float, row)) for row in rows(session)] == [(1, 10), (2, 15), (3, 22)]
    assert dict(session.columns(sql_task("s.t").relation))["balance"] == decimal
    assert build(query, replace(how, full_refresh=True)).error is None
    assert [tuple(map(float, row)) for row in rows(session)] == [(1, 10), (2, 15), (3, 22)]


def test_a_build_in_full_of_what_reads_itself_takes_all_rows(
    system: System, session: WarehouseSession, build: Build
) -> None:
    """As any other first build: the conditions of a merge are for later ones."""
    columns = tuple((name, system.type_of(type_)) for name, type_ in (("k", "INT"), ("v", "INT")))
    how = Incremental("merge", ("k",), columns=columns, merge_insert_condition="n.v > 1")
    query = "select 1 as k, 1 as v where (select count(*) from s.t) = 0"
    for full in (False, True):
        changes = build(query, replace(how, full_refresh=full)).changes
        assert changes == Changes("whole", None, 1, 0, 0)
        assert rows(session) == [(1, 1)]
    wrong = replace(how, full_refresh=True, merge_insert_condition="n.nope > 1")
    assert "nope" in str(build(query, wrong).error)
    assert rows(session) == [(1, 1)]


# Python ------------------------------------------------------------------------------------------


def delta(
    session: WarehouseSession, tmp_path: Path, table: pa.Table, how: Incremental, attempt: int
) -> Outcome:
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    task = replace(arrow_task("s.t", path), materialization=how, attempt=attempt)
    return run(session, task, Stop())


def test_the_types_of_python_follow_their_values(session: WarehouseSession, tmp_path: Path) -> None:
    """pandas has floats where a column of integers lacks one, and no type where all are missing."""
    how = Incremental("merge", ("k",))
    tables = [
        pa.table({"k": [1], "n": pa.array([7], pa.int64()), "t": ["a"]}),
        pa.table({"k": [2, 3], "n": pa.array([8.0, None]), "t": pa.array([None, None])}),
        pa.table({"k": pa.array([4], pa.int16()), "n": pa.array([None]), "t": ["b"]}),
    ]
    for attempt, table in enumerate(tables):
        assert delta(session, tmp_path, table, how, attempt).error is None
    assert rows(session) == [(1, 7, "a"), (2, 8, None), (3, None, None), (4, None, "b")]
    half = pa.table({"k": [5], "n": [1.5], "t": ["a"]})
    outcome = delta(session, tmp_path, half, how, 9)
    assert outcome.error is not None
    assert "cannot hold all of its values, e.g. 1.5" in outcome.error.message
    number = pa.table({"k": [5], "n": [1], "t": [3]})
    outcome = delta(session, tmp_path, number, how, 10)
    assert outcome.error is not None
    assert outcome.error.name == "SchemaChanged"
    assert len(rows(session)) == 4


def test_rows_made_from_an_older_table_are_refused(
    session: WarehouseSession, build: Build, tmp_path: Path
) -> None:
    how = Incremental("append", since=Since("k"))

    def read() -> Reading:
        found = session.read_before(sql_task("s.t").relation, how)
        session.discard()
        return found

    table = pa.table({"k": [1]})
    first = read()
    assert first == Reading(whole=True)
    assert delta(session, tmp_path, table, replace(how, reading=first), 1).error is None
    outcome = delta(session, tmp_path, table, replace(how, reading=first), 2)
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.CONFLICT
    second = read()
    assert not second.whole
    assert delta(session, tmp_path, table, replace(how, reading=second), 3).error is None
    assert rows(session) == [(1,), (1,)]


# Others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Incremental("append", since=Since("m")), since()])
def test_two_writers_of_one_empty_table_do_not_double_its_rows(
    warehouse: OpenWarehouse, session: WarehouseSession, system: System, how: Incremental
) -> None:
    """On DuckDB its one process lets them in one by one; a server does so itself. On a lake none
    waits: the one that commits last conflicts, and builds again."""
    if system.name == "duckdb":
        pytest.skip("test_two_runs_of_an_incremental_model (execution)")
    session.execute("create table s.source as select 1 as k, 2 as m")
    query = f"select k, m from s.source where m > {SINCE}"

    def task(run_id: str) -> Any:
        return replace(sql_task("s.t", query, run_id=run_id), materialization=how)

    with session_of(warehouse) as other:
        entered, outcomes = threading.Event(), list[Outcome]()

        def second() -> None:
            entered.set()
            outcomes.append(run(other, task("second"), Stop()))

        thread = threading.Thread(target=second)

        def start() -> None:
            if outcomes:
                return  # the second try, after a conflict
            thread.start()
            entered.wait()
            if system.name == "ducklake":
                thread.join()
                return
            waits = "select 1 from pg_locks where not granted and locktype = 'advisory'"
            with session_of(warehouse) as third:
                while not third.query(waits)[1] and not outcomes:
                    pass

        first = instrument(session, before_commit=start)
        outcomes.insert(0, run(first, task("first"), Stop()))
        thread.join()
    if system.name == "ducklake":
        outcomes.reverse()
    assert [it.error for it in outcomes] == [None, None]
    literal = f"CAST('2' AS {session.columns(T)[1][1]})"
    assert outcomes[1].changes == Changes("delta", literal, 0, 0, 0)
    assert rows(session) == [(1, 2)]


@pytest.mark.feature("indexes")
def test_what_hangs_on_the_table_stays(
    system: System, session: WarehouseSession, build: Build
) -> None:
    build(values((1, "x", 1)), MERGE)
    session.execute("create unique index mine on s.t (k, l)")
    session.execute("create view s.v as select k from s.t")
    for how in (MERGE, replace(MERGE, full_refresh=True)):
        assert build(values((1, "x", 2), (2, "y", 3)), how).error is None
        assert session.query(system.indexes)[1] == [("mine",)]
        assert session.query("select count(*) from s.v")[1] == [(2,)]


def test_a_commit_that_took_place_is_not_repeated(
    session: WarehouseSession, warehouse: OpenWarehouse, build: Build
) -> None:
    """The same attempt once more, as after a kill behind the COMMIT: the record is there."""
    task = replace(sql_task("s.t", "select 1 as n"), materialization=Incremental("append"))
    assert run(session, task, Stop()).changes == Changes("whole", None, 1, 0, 0)
    with session_of(warehouse) as other:
        again = run(other, task, Stop())
    assert (again.verdict, again.changes) == (Verdict.COMMITTED, Changes("whole", None, 1, 0, 0))
    assert rows(session) == [(1,)]


def test_rows_of_other_tables_do_not_change_along(
    system: System, session: WarehouseSession, build: Build
) -> None:
    if system.speaks_duckdb:
        pytest.skip("its foreign keys have no actions")
    session.execute("create table s.t (k int primary key, v int); insert into s.t values (1, 2)")
    session.execute(
        "create table s.child (k int references s.t on delete cascade); insert into s.child"
        " values (1)"
    )
    outcome = build("select 1 as k, 3 as v", Incremental("delete+insert", ("k",)))
    assert outcome.error is not None
    assert "ON DELETE CASCADE" in outcome.error.message
    assert "use `strategy: merge`" in outcome.error.message
    session.execute(
        "alter table s.t add unique (v);"
        "create table s.other (v int references s.t (v) on update cascade);"
        "insert into s.other values (2)"
    )
    outcome = build("select 1 as k, 3 as v", Incremental("merge", ("k",)))
    assert outcome.error is not None
    assert "let the unique_key be what it refers to" in outcome.error.message
    session.execute("drop table s.other")
    assert build("select 1 as k, 3 as v", Incremental("merge", ("k",))).error is None
    assert (rows(session), rows(session, "s.child")) == ([(1, 3)], [(1,)])


@pytest.mark.parametrize("type_", ["utinyint", "uinteger", "ubigint", "uhugeint"])
def test_zero_is_read_in_a_first_build(
    session: WarehouseSession, build: Build, system: System, type_: str
) -> None:
    if not system.speaks_duckdb:
        pytest.skip("it has no unsigned types")
    sql = f"select id from (values (0), (1)) as t(n), lateral (select n::{type_} as id)"
    outcome = build(f"{sql} where id > {SINCE}", Incremental("append", since=Since("id")))
    assert literal_of(outcome) == "-1"
    assert rows(session) == [(0,), (1,)]


@pytest.mark.parametrize("kind", ["partitioned", "inheriting"])
def test_a_merge_into_several_tables_at_once(
    system: System, session: WarehouseSession, build: Build, kind: str
) -> None:
    """The first row of each has the same address."""
    if system.speaks_duckdb:
        pytest.skip("it has neither")
    if kind == "partitioned":
        session.execute(
            "create table s.t (k int, v int) partition by list (k);"
            "create table s.a partition of s.t for values in (1, 3, 5);"
            "create table s.b partition of s.t for values in (2)"
        )
    else:
        session.execute("create table s.t (k int, v int); create table s.b () inherits (s.t)")
    session.execute("insert into s.t values (1, 1), (3, 3); insert into s.b values (2, 2)")
    how = Incremental("merge", ("k",))
    given = "select 1 as k, null as v union all select 2, 2 union all select 5, 5"
    assert build(given.replace("null", "null::int"), how).changes == Changes("delta", None, 1, 1, 0)
    assert rows(session) == sorted([(1, None), (3, 3), (2, 2), (5, 5)], key=str)
    assert build("select 2 as k, 7 as v", how).changes == Changes("delta", None, 0, 1, 0)
    assert rows(session, "s.b") == [(2, 7)]


@pytest.mark.parametrize(
    ("made", "more", "rest"),
    [
        ("create table s.t (k int, v int, z int)", "z", [0, 9, None]),
        (
            "create table s.t (k int primary key, v int);"
            " create table s.other (k int references s.t (k))",
            "",
            [],
        ),
        ("create table s.t (k int, v int); create unique index once on s.t (k)", "", []),
        ("create table s.t (k int, v int)", "", []),
        ('create table s.t (k int, v int, "rowid" int)', '"rowid"', [0, 0, 0]),
    ],
    ids=["another column", "a primary key", "an index", "plain", "a column named rowid"],
)
def test_a_merge_into_a_table_that_somebody_else_has_made(
    system: System, session: WarehouseSession, build: Build, made: str, more: str, rest: list[Any]
) -> None:
    """A changed row is deleted and inserted anew only where nothing is lost by that."""
    if system.name == "ducklake" and ("primary key" in made or "index" in made):
        pytest.skip("it has no keys and no indexes")
    session.execute(f"{made}; insert into s.t values (1, 1{', 0' * bool(more)})")
    session.execute(f"insert into s.t values (2, 2{', 9' * bool(more)})")
    if "other" in made:
        session.execute("insert into s.other values (2)")
    given = "select k, v{} from (values (1, 1), (2, 3), (4, 4)) as g(k, v)"
    given = given.format(', 0 as "rowid"' if "rowid" in more else "")
    how = Incremental("merge", ("k",), "append_new_columns")
    outcome = build(given, how)
    assert outcome.error is None, outcome.error
    assert outcome.changes == Changes("delta", None, 1, 1, 0)
    wanted = [(1, 1), (2, 3), (4, 4)]
    assert rows(session) == [
        row + (value,) * bool(more) for row, value in zip(wanted, rest or [None] * 3, strict=True)
    ]


@pytest.mark.parametrize("limit", [0, 3])
def test_only_the_first_statement_of_a_merge_reads_all_of_a_table(
    system: System,
    session: WarehouseSession,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
) -> None:
    """But for more changes than a server should hold the addresses of."""
    if system.speaks_duckdb:
        pytest.skip("it does not count its scans")
    monkeypatch.setattr(merge, "_ADDRESSES", limit)
    monkeypatch.setattr(postgres_columns, "_COUNTED_BYTES", 1000)
    how = Incremental("merge", ("k",))
    assert build(f"select i as k, 0 as v from {system.rows_of(5000)}", how).error is None
    session.execute("analyze s.t; select pg_stat_force_next_flush()")
    scans = "select seq_scan from pg_stat_xact_user_tables where relname = 't'"
    found = list[int]()
    watched = instrument(session, before_commit=lambda: found.append(session.query(scans)[1][0][0]))
    assert watched is session
    given = f"select i as k, 1 as v from {system.rows_of(5003)} where i between 4997 and 5002"
    outcome = build(given, how)
    assert (outcome.changes, outcome.rows) == (Changes("delta", None, 3, 3, 0), None)
    assert found == [1 if limit else 2]
