"""Partitions of a table on MariaDB: their windows, rows in none, batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_models.core.changes import Changes
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome
from dagster_models.core.stand_ins import OWN_WINDOW
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.warehouses.mariadb.session import MariaSession
from day_partitions import check_days_are_replaced, check_rows_of_python_in_no_window, replacing
from incremental_oracle import rows_of
from mariadb_server import MariaServer, left_on
from systems import System, mariadb_system

Build = Callable[..., Outcome]
pytestmark = pytest.mark.nightly


@pytest.fixture
def system(mariadb: MariaServer) -> System:
    return mariadb_system(mariadb.settings)


def source(given: list[tuple[int, int]], type_: str = "date") -> str:
    as_type = {"timestamp(6)": "from_unixtime(unix_timestamp(cast({} as datetime)))"}
    cast = as_type.get(type_, f"cast({{}} as {type_})")
    return " union all ".join(
        f"select {cast.format(repr(f'2024-01-{d:02d}'))} as d, {v} as v" for d, v in given
    )


@pytest.mark.parametrize("type_", ["date", "datetime(6)"])
def test_days_are_replaced(
    mariadb: MariaServer, session: MariaSession, build: Build, type_: str
) -> None:
    check_days_are_replaced(session, build, partial(source, type_=type_))
    assert left_on(mariadb) == []


def test_windows_of_a_moment_and_of_values(session: MariaSession, build: Build) -> None:
    session.execute("create table s.source (d timestamp(6) null, v bigint)")
    session.execute(
        "insert into s.source values ('2024-01-01 23:59:59.999999', 1), ('2024-01-02', 2),"
        " (null, 3)"
    )
    outcome = build("select * from s.source", replacing(2))
    assert outcome.error is None, outcome.error
    assert rows_of(session, "v") == [(2,)]
    how = Incremental("replace", partitioned=Partitioned("v", (_value("2"), _value("3"))))
    assert build("select * from s.source", how).error is None
    assert rows_of(session, "v") == [(2,), (3,)]


@pytest.mark.parametrize("type_", ["char(2)", "varchar(2)", "text", "enum('a', 'B')"])
def test_a_key_that_a_collation_takes_for_another_is_another_partition(
    session: MariaSession, build: Build, type_: str
) -> None:
    session.execute(f"create table s.source (k {type_} collate utf8mb4_general_ci, n int)")
    session.execute("insert into s.source values ('a', 1), ('B', 2)")
    both = Partitioned("k", (_value("a"), _value("B")))
    assert build("select * from s.source", Incremental("replace", partitioned=both)).error is None
    other = Incremental("replace", partitioned=Partitioned("k", (_value("A"), _value("b"))))
    outcome = build("select * from s.source", other)
    assert outcome.changes == Changes("window", None, 0, 0, 0)
    assert rows_of(session) == [("B", 2), ("a", 1)]


def _value(key: str) -> Partition:
    return Partition(key, ValueWindow((key,)))


def test_rows_of_python_that_are_in_no_window_are_left_out_and_counted(
    session: MariaSession, build: Build, tmp_path: Path
) -> None:
    check_rows_of_python_in_no_window(session, build, source, pa.int32(), tmp_path)


def test_batches_are_transactions_whose_checks_see_what_is_new(
    mariadb: MariaServer, session: MariaSession, build: Build
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
    assert rows_of(session, "day(d), v") == [(1, 1), (2, 2), (3, 1), (9, 0)]
    assert left_on(mariadb) == []
