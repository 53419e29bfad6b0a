"""What adds to a table on MariaDB and its columns: their changes, types and last values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.materializations import Incremental, Since
from dagster_models.core.messages import Outcome
from dagster_models.core.stand_ins import SINCE
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.mariadb.session import MariaSession
from dagster_models.warehouses.mariadb.types import fits
from incremental_oracle import rows_of
from mariadb_server import MariaServer, left_on
from systems import System, T, mariadb_system
from tasks import arrow_task

Build = Callable[..., Outcome]
pytestmark = pytest.mark.nightly
MERGE = Incremental("merge", ("k",))


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


def test_columns_that_have_changed(
    mariadb: MariaServer, session: MariaSession, build: Build
) -> None:
    build("select 1 as k, cast('a' as char(9)) as l", MERGE)
    more = "select 2 as k, cast('b' as char(9)) as l, 1.5e0 as m"
    error = build(more, MERGE).error
    assert error is not None
    assert error.name == "SchemaChanged"
    adding = replace(MERGE, on_schema_change="append_new_columns")
    assert build(more, adding).error is None
    assert build("select 1 as k, 2.5e0 as m", adding).error is None  # `l` of the row stays
    assert rows_of(session) == [(1, "a", 2.5), (2, "b", 1.5)]
    syncing = replace(MERGE, on_schema_change="sync_all_columns")
    big = "select 12345678901 as k, 3.5e0 as m"
    assert build(big, syncing).error is None
    assert rows_of(session) == [(1, 2.5), (12345678901, 3.5), (2, 1.5)]
    assert session.columns(T) == (("k", "bigint"), ("m", "double"))
    outcome = build("select 1 as k, 9.5e0 as m, 7 as z", replace(MERGE, on_schema_change="ignore"))
    assert outcome.changes == Changes("delta", None, 0, 1, 0)
    assert rows_of(session, "m") == [(1.5,), (3.5,), (9.5,)]
    assert left_on(mariadb) == []


def test_no_value_is_changed_to_fit(session: MariaSession, build: Build) -> None:
    build("select 1 as n, cast('ab' as char(2)) as l", Incremental("append"))
    for sql in ("select 1.5 as n, 'ab' as l", "select 1 as n, 'abc' as l"):
        error = build(sql, Incremental("append")).error
        assert error is not None
        assert error.name == "SchemaChanged"
    assert rows_of(session) == [(1, "ab")]


def test_a_column_without_null_may_have_one_later(session: MariaSession, build: Build) -> None:
    """MariaDB declares a column NOT NULL whose first query could not return NULL."""
    for how in (Incremental("append"), MERGE):
        assert build("select 1 as k, 'a' as l", replace(how, full_refresh=True)).error is None
        assert build("select 2 as k, cast(null as char(1)) as l", how).error is None
        assert session.query("select k from s.t where l is null")[1] == [(2,)]


def test_the_types_of_python_follow_their_values(session: MariaSession, tmp_path: Path) -> None:
    def load(attempt: int, values: list[Any], type_: Any) -> Outcome:
        table = pa.table({"k": pa.array([attempt], pa.int64()), "v": pa.array(values, type_)})
        path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
        task = replace(arrow_task("s.t", path), materialization=MERGE, attempt=attempt)
        return run(session, task, Stop())

    assert load(1, [5], pa.int64()).error is None
    assert load(2, [6.0], pa.float64()).error is None  # a frame with a NULL has floats
    assert load(3, [None], pa.string()).error is None
    assert load(4, [6.5], pa.float64()).error is not None
    assert rows_of(session) == [(1, 5), (2, 6), (3, None)]


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
    session: MariaSession, build: Build, type_: str, first: str, second: str
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
    session: MariaSession,
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
