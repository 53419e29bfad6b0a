"""What becomes of views, types and values if the columns of an increment are not its table's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental, Materialization, Since, Snapshot
from dagster_models.core.messages import Outcome
from dagster_models.core.stand_ins import SINCE
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from systems import System
from tasks import arrow_task, sql_task

Build = Callable[..., Outcome]
SYNC = Incremental("merge", ("k",), "sync_all_columns")


@pytest.fixture
def build(session: WarehouseSession) -> Build:
    """Builds s.t, as a new attempt each time."""
    attempt = 0

    def build(sql: str, how: Materialization = SYNC, step: str = "s.t") -> Outcome:
        nonlocal attempt
        attempt += 1
        task = replace(sql_task(step, sql), materialization=how, attempt=attempt)
        return run(session, task, Stop())

    return build


def rows(session: WarehouseSession, table: str = "s.t") -> list[tuple[Any, ...]]:
    return sorted(session.query(f"select * from {table}")[1], key=str)


def refused(outcome: Outcome) -> str:
    assert outcome.error is not None, outcome.changes
    assert "CASCADE" not in outcome.error.message
    return outcome.error.message


# Views -------------------------------------------------------------------------------------------

CHANGES = {
    "added": "select 2 as k, 5 as l, 7 as m, 8 as n",
    "gone": "select 2 as k, 5 as l",
    "retyped": "select 2 as k, 5 as l, 'x' as m",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("columns", ["*", "k, l", "l, m"])
def test_a_view_of_somebody_elses_works_afterwards_or_nothing_is_changed(
    system: System, session: WarehouseSession, build: Build, change: str, columns: str
) -> None:
    assert build("select 1 as k, 4 as l, 7 as m").error is None
    session.execute(f"create view s.v as select {columns} from s.t")
    session.execute("create view s.w as select l + 1 as one_more from s.v")
    outcome = build(CHANGES[change])
    late = system.speaks_duckdb and columns == "*"  # it binds a view when it is read
    if change == "retyped" and system.name == "ducklake":
        assert "DuckLake only widens the type of a column" in refused(outcome)
        assert rows(session) == [(1, 4, 7)]
    elif change == "gone" and columns != "k, l" and not late:
        said = refused(outcome)
        assert "s.v" in said.replace('"', "")
        assert rows(session) == [(1, 4, 7)]
    else:
        assert outcome.error is None, outcome.error
        assert len(rows(session)) == 2
    assert len(rows(session, "s.v")) == len(rows(session))
    assert rows(session, "s.w")[0] == (5,)


def test_what_hangs_on_a_view_stays(
    system: System, session: WarehouseSession, build: Build
) -> None:
    if system.speaks_duckdb:
        pytest.skip("it has no grants")
    build("select 1 as k, 4 as l")
    session.execute(
        "create view s.v as select l from s.t; comment on view s.v is 'theirs';"
        " grant select on s.v to public;"
        " create materialized view s.m as select l from s.v; create index mine on s.m (l)"
    )
    assert build("select 2 as k, 'x' as l").error is None
    assert rows(session, "s.v") == [("4",), ("x",)]
    assert session.query("select obj_description('s.v'::regclass)")[1] == [("theirs",)]
    assert session.query("select has_table_privilege('public', 's.v', 'select')")[1] == [(True,)]
    assert session.query("select indexname::text from pg_indexes where tablename = 'm'")[1]


OTHERS = {
    "trigger": "create function s.f() returns trigger language plpgsql as 'begin return new; end';"
    " create trigger hears after update of l on s.t for each row execute function s.f()",
    "policy": "create policy theirs on s.t using (l > 0)",
    "function": "create function s.g() returns bigint begin atomic select sum(l) from s.t; end",
    "foreign key": "alter table s.t add unique (l);"
    " create table s.child (l int references s.t (l))",
    "rule": "create rule theirs as on delete to s.t do also select old.l",
}


@pytest.mark.parametrize("change", ["gone", "retyped"])
@pytest.mark.parametrize("other", OTHERS)
def test_what_else_depends_on_a_column(
    system: System, session: WarehouseSession, build: Build, other: str, change: str
) -> None:
    if system.speaks_duckdb:
        pytest.skip("it has none of these")
    build("select 1 as k, 4 as l")
    session.execute(OTHERS[other])
    given = {"gone": "select 2 as k", "retyped": "select 2 as k, 'x' as l"}[change]
    said = refused(build(given))
    assert "Nothing was changed: change or drop what stands in the way first, by hand" in said
    assert rows(session) == [(1, 4)]


def test_an_index_in_the_way(system: System, session: WarehouseSession, build: Build) -> None:
    if system.name != "duckdb":
        pytest.skip("it changes its indexes along, or has none")
    build("select 1 as k, 4 as l")
    session.execute("create index mine on s.t (l)")
    for given in ("select 2 as k", "select 2 as k, 'x' as l", "select 2 as k, 5 as l, 6 as m"):
        if "m" in given:
            assert build(given).error is None
        else:
            assert "drop that index or constraint first" in refused(build(given))
            assert rows(session) == [(1, 4)]


# Types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("varchar", "text", True),
        ("text", "varchar", True),
        ("text", "varchar(3)", True),
        ("varchar", "varchar(3)", True),
        ("varchar(3)", "text", False),
        ("varchar(3)", "varchar(5)", False),
        ("text", "char(3)", False),
        ("text[]", "varchar[]", False),
    ],
)
@pytest.mark.parametrize("kind", ["merge", "snapshot"])
def test_one_type_of_two_names(
    system: System,
    session: WarehouseSession,
    build: Build,
    old: str,
    new: str,
    same: bool,
    kind: str,
) -> None:
    if system.speaks_duckdb:
        pytest.skip("it has one name for each type")
    how = Incremental("merge", ("k",)) if kind == "merge" else Snapshot("check", ("k",))
    value = "array['abc']" if "[" in old else "'abc'"
    assert build(f"select 1 as k, {value}::{old} as v", how).error is None
    outcome = build(f"select 1 as k, {value}::{new} as v", how)
    if same:
        assert outcome.changes is not None
        assert (outcome.changes.inserted, outcome.changes.updated) == (0, 0)
    else:
        assert "of another type: `v`" in refused(outcome)


@pytest.mark.parametrize(
    ("value", "old", "new", "then"),
    [
        ('{"a": 1,  "b": [2]}', "json", "jsonb", {"a": 1, "b": [2]}),
        ('{"a": 1, "a": 2}', "json", "jsonb", None),
        ("10.0.0.1", "text", "inet", "10.0.0.1"),
        ("10.0.0.1/24", "text", "inet", "10.0.0.1/24"),
        ("10.0.0.0/8", "cidr", "inet", "10.0.0.0/8"),
        ("10.0.0.1", "inet", "text", "10.0.0.1/32"),  # as a cast does
        ("nowhere", "text", "inet", None),
        ('{"a":  1}', "json", "text", '{"a":  1}'),
        ("(1,2)", "point", "text", "(1,2)"),
        ("0.1", "double precision", "real", None),
        ("0.5", "double precision", "real", 0.5),
        ("1", "text", "int", 1),
        ("01", "text", "int", None),
        ("1", "int", "inet", None),
    ],
)
def test_types_of_postgres_under_sync(
    system: System,
    session: WarehouseSession,
    build: Build,
    value: str,
    old: str,
    new: str,
    then: Any,
) -> None:
    if system.speaks_duckdb:
        pytest.skip("it has other types")
    assert build(f"select 1 as k, '{value}'::{old} as v").error is None
    before = session.query("select v::text from s.t")[1]
    outcome = build(f"select 2 as k, null::{new} as v")
    if then is None:
        said = refused(outcome)
        assert f"the type of `v` has changed from {old} to" in said.replace("integer", "int")
        assert session.query("select v::text from s.t")[1] == before
    else:
        assert outcome.error is None, outcome.error
        ((found,),) = session.query("select to_jsonb(v) from s.t where k = 1")[1]
        if new == "inet":
            ((found,),) = session.query("select format('%s', v) from s.t where k = 1")[1]
        assert found == then


def test_a_value_that_is_none_of_the_new_type(session: WarehouseSession, build: Build) -> None:
    build("select 1 as k, 'many' as v")
    said = refused(build("select 2 as k, 5 as v"))
    assert "the type of `v` has changed from" in said
    assert "many" in said
    assert rows(session) == [(1, "many")]


def test_what_is_said_of_rows_that_python_returns(
    session: WarehouseSession, build: Build, tmp_path: Path
) -> None:
    build("select 1 as k, cast(7 as bigint) as n", Incremental("merge", ("k",)))
    table = pa.table({"k": pa.array([2], pa.int32()), "n": [1.5]})
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    task = arrow_task("s.t", path)
    how = Incremental("merge", ("k",))
    said = refused(run(session, replace(task, materialization=how, attempt=9), Stop())).lower()
    assert "`n` is double" in said
    assert (
        " in the new rows and bigint in s.t, which cannot hold all of its values, e.g. 1.5" in said
    )


# $since ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "lookback"),
    [
        ("'a'", "INTERVAL '3 days'"),
        ("'a'", "3"),
        ("7", "INTERVAL '3 days'"),
        ("timestamp '2024-01-01'", "3"),
        ("date '2024-01-01'", "3"),
        ("true", "3"),
    ],
)
@pytest.mark.parametrize("begin", ["", "m"])
def test_a_lookback_that_does_not_fit_fails_the_first_build(
    session: WarehouseSession, build: Build, column: str, lookback: str, begin: str
) -> None:
    how = Incremental("merge", ("k",), since=Since("m", lookback, begin))
    said = refused(build(f"select 1 as k, {column} as m", how))
    assert "`lookback` does not fit the column `m`" in said
    assert session.query("select count(*) from information_schema.tables where table_name = 't'")[
        1
    ] == [(0,)]


def test_a_lookback_without_a_unit_fails_each_build_of_dates(build: Build) -> None:
    """Of a table that was there before, too: both warehouses would subtract days."""
    query = f"select * from (select 1 as k, date '2024-01-09' as m) as q where m >= {SINCE}"
    assert build(query, Incremental("merge", ("k",), since=Since("m"))).error is None
    said = refused(build(query, Incremental("merge", ("k",), since=Since("m", "5"))))
    assert "does not say its unit: write a time, such as 5d for days. Nothing was changed" in said


def test_a_column_of_since_that_the_first_build_lacks(build: Build) -> None:
    how = Incremental("merge", ("k",), since=Since("m", begin="1"))
    assert "since: the query has no column `m`; it has k" in refused(build("select 1 as k", how))


@pytest.mark.parametrize(
    ("type_", "largest", "lookback", "literal"),
    [
        ("smallint", "-32760", "100", "CAST('-32768' AS {})"),
        ("smallint", "7", "100", "CAST('-93' AS {})"),
        ("decimal(3,1)", "-99.5", "1", "CAST('-99.9' AS {})"),
        ("decimal(3,1)", "1.5", "1", "CAST('0.5' AS {})"),
        ("double precision", "1.5", "1", "CAST('0.5' AS {})"),
        ("utinyint", "5", "20", "-1"),
        ("numeric", "1.5", "1", "CAST('0.5{}"),
    ],
)
def test_a_lookback_beyond_the_smallest_value(
    system: System,
    session: WarehouseSession,
    build: Build,
    type_: str,
    largest: str,
    lookback: str,
    literal: str,
) -> None:
    if type_ == "utinyint" and not system.speaks_duckdb:
        pytest.skip("it has no unsigned types")
    query = (
        f"select * from (select 1 as k, cast('{largest}' as {type_}) as m) as q where m >= {SINCE}"
    )
    how = Incremental("merge", ("k",), since=Since("m", lookback))
    assert build(query, how).error is None
    outcome = build(query, how)
    assert outcome.error is None, outcome.error
    assert outcome.changes is not None
    assert outcome.changes.since is not None
    stored = dict(session.columns(sql_task("s.t").relation))["m"]
    assert outcome.changes.since.startswith(literal.format("" if type_ == "numeric" else stored))


@pytest.mark.parametrize("type_", ["decimal(9,2)", "decimal(18,0)", "numeric"])
def test_the_first_value_of_a_decimal_is_one(
    session: WarehouseSession, build: Build, type_: str
) -> None:
    query = f"select * from (select 1 as k, cast(1.5 as {type_}) as m) as q where m > {SINCE}"
    outcome = build(query, Incremental("merge", ("k",), since=Since("m")))
    assert outcome.changes is not None
    stored = dict(session.columns(sql_task("s.t").relation))["m"]
    assert str(outcome.changes.since).endswith(f"AS {stored})")
    assert len(rows(session)) == 1


# How many rows there are -------------------------------------------------------------------------


def test_the_rows_are_counted_after_an_increment(build: Build) -> None:
    build("select 1 as k, 1 as v")
    outcome = build("select 2 as k, 1 as v")
    assert (outcome.changes, outcome.rows) == (Changes("delta", None, 1, 0, 0), 2)
