"""What adds to a table on Spark: each build is one commit, and leaves what plain Python says."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_models.core.materializations import (
    Incremental,
    Since,
    Snapshot,
)
from dagster_models.core.messages import Outcome
from dagster_models.core.stand_ins import SINCE
from dagster_models.errors import WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.warehouses.materializations import snapshot
from dagster_models.warehouses.spark import session as spark
from day_partitions import check_days_are_replaced, check_rows_of_python_in_no_window
from incremental_oracle import (
    Row,
    check_conditions_of_a_merge,
    check_outcome,
    query_of,
    random_builds,
    rows_of,
)
from systems import commits_at
from tasks import sql_task

#: Random histories of each strategy.
HISTORIES = int(os.environ.get("DAGSTER_MODELS_SPARK_HISTORIES", "1"))

Build = Callable[..., Outcome]


@pytest.mark.parametrize("strategy", ["append", "delete+insert", "merge"])
def test_random_histories(
    session: spark.SparkSession, build: Build, location: str, strategy: str
) -> None:
    """Rows with NULLs and duplicates, composite keys, reruns and full refreshes."""
    table: list[Row] | None = None
    published = 0
    for seed in range(HISTORIES):
        for step, (how, given) in enumerate(random_builds(strategy, seed)):
            outcome = build(query_of("string", *given), how)
            story = (strategy, seed, step, given, table)
            table = check_outcome(outcome, how, table, given, story)
            if outcome.error is None:
                assert outcome.rows == len(table or ()), story
                published += 1
            if table is not None:
                assert rows_of(session) == sorted(table, key=str), story
    assert len(commits_at(location)) == published  # each is one commit


# Partitions --------------------------------------------------------------------------------------

SOURCE = "select cast(d as date) as d, v from values {rows} as source(d, v)"


def source(given: list[tuple[int, int]]) -> str:
    rows = ", ".join(f"('2024-01-{d:02d}', {v})" for d, v in given)
    return SOURCE.format(rows=rows)


def test_days_are_replaced_in_one_commit_which_keeps_the_files_of_others(
    session: spark.SparkSession, build: Build, location: str
) -> None:
    for outcome, count in check_days_are_replaced(session, build, source):
        assert outcome.rows == count
    assert len(commits_at(location)) == 5


def test_rows_of_python_that_are_in_no_window_are_left_out_and_counted(
    session: spark.SparkSession, build: Build, tmp_path: Path
) -> None:
    check_rows_of_python_in_no_window(session, build, source, pa.int64(), tmp_path)


# $since, columns and conflicts -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "first", "second"),
    [("date", "2024-01-01", "2024-01-03"), ("timestamp", "2024-01-01", "2024-01-03 04:05:06")],
)
def test_since_is_the_last_value_of_the_table(
    session: spark.SparkSession, build: Build, type_: str, first: str, second: str
) -> None:
    how = Incremental("append", since=Since("at"))
    sql = (
        "select cast(at as {0}) as at from values ('{1}'), ('{2}') as x(at)"
        " where cast(at as {0}) > {3}"
    )
    assert build(sql.format(type_, first, first, SINCE), how).rows == 2
    outcome = build(sql.format(type_, first, second, SINCE), how)
    assert (outcome.rows, outcome.changes and outcome.changes.inserted) == (3, 1)


def test_the_conditions_of_a_merge(session: spark.SparkSession, build: Build) -> None:
    check_conditions_of_a_merge(session, build, "string")


def test_columns_that_have_changed(session: spark.SparkSession, build: Build) -> None:
    key = ("k",)
    build("select 1 as k, 'a' as l", Incremental("merge", key))
    more = "select 2 as k, 'b' as l, 1.5D as m"
    error = build(more, Incremental("merge", key)).error
    assert error is not None
    assert error.name == "SchemaChanged"
    adding = Incremental("merge", key, on_schema_change="append_new_columns")
    assert build(more, adding).error is None
    assert build("select 1 as k, 2.5D as m", adding).error is None  # `l` of the row stays
    assert rows_of(session) == [(1, "a", 2.5), (2, "b", 1.5)]
    syncing = Incremental("merge", key, on_schema_change="sync_all_columns")
    assert build("select 3L as k, null as m", syncing).error is not None
    assert build("select 3L as k, 3.5D as m", syncing).error is None
    assert rows_of(session) == [(1, 2.5), (2, 1.5), (3, 3.5)]
    assert session.columns(sql_task("s.t", "").relation)[0] == ("k", "bigint")


def test_a_column_without_null_may_have_one_later(
    session: spark.SparkSession, build: Build
) -> None:
    """Spark declares a column NOT NULL whose first query could not return NULL."""
    for how in (Incremental("append"), Incremental("merge", ("k",))):
        assert build("select 1 as k, 'a' as l", replace(how, full_refresh=True)).error is None
        assert build("select 2 as k, cast(null as string) as l", how).error is None
        assert session.query("select k from s.t where l is null")[1] == [(2,)]


def test_of_two_builds_at_once_the_second_begins_anew(
    warehouse: spark.Spark, session: spark.SparkSession, build: Build
) -> None:
    """Neither loses the other's rows."""
    how = Incremental("append")
    build("select 0 as n", how)
    task = replace(sql_task("s.t", "select 1 as n"), materialization=how, attempt=50)
    with contextlib.closing(warehouse.session()) as other:
        assert build("select 2 as n", how).error is None
        staged = other.build(task)
        assert build("select 3 as n", how).error is None
        with pytest.raises(WarehouseError, match="was written while"):
            other.publish(staged, commits_of(task, staged))
    assert rows_of(session) == [(0,), (2,), (3,)]
    assert run(session, task, Stop()).error is None
    assert rows_of(session) == [(0,), (1,), (2,), (3,)]


# Snapshots ---------------------------------------------------------------------------------------


def test_a_snapshot_keeps_each_version(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oracle: what the query returned at each time is what the versions of that time say."""
    start = dt.datetime(2024, 1, 1)
    for deletes in ("ignore", "invalidate", "new_record"):
        r = random.Random(deletes)
        how = Snapshot("check", ("k",), hard_deletes=deletes)
        name = f"s.t_{deletes}"
        seen: list[dict[int, str]] = []
        for step in range(5):
            live = {k: r.choice("abc") for k in range(5) if r.random() < 0.7} or {9: "z"}
            seen.append(live)
            monkeypatch.setattr(
                snapshot, "utc_now", lambda step=step: start + dt.timedelta(hours=step)
            )
            given = ", ".join(f"({k}, '{v}')" for k, v in live.items())
            task = replace(
                sql_task(name, f"select k, v from values {given} as x(k, v)"),
                materialization=how,
                attempt=step + 1,
            )
            outcome = run(session, task, Stop())
            assert outcome.error is None, outcome.error
        told = dict[int, str]()
        alive = "" if deletes != "new_record" else " and not is_deleted"
        for step, live in enumerate(seen):
            told = {**told, **live} if deletes == "ignore" else live
            at = f"timestamp_ntz'{start + dt.timedelta(hours=step)}'"
            sql = (
                f"select k, v from {name} where valid_from <= {at}"
                f" and (valid_to is null or valid_to > {at}){alive}"
            )
            assert dict(session.query(sql)[1]) == told, (deletes, step)


def test_each_version_has_the_identity_that_dbt_gives_it(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its older versions have none, as the first build has not named these columns."""
    start = dt.datetime(2024, 1, 1)
    named = {"scd_id": "dbt_scd_id", "scd_updated_at": "dbt_updated_at"}
    first = Snapshot("timestamp", ("k",), "u", hard_deletes="new_record")
    given = ["(1, 0), (2, 0)", "(1, 1), (2, 0), (3, 0)", "(1, 1), (3, 0)"]
    for step, rows in enumerate(given):
        monkeypatch.setattr(snapshot, "utc_now", lambda step=step: start + dt.timedelta(days=step))
        moment = "timestampadd(HOUR, h, timestamp_ntz'2024-01-01')"
        how = replace(first, **named) if step else first
        sql = f"select k, {moment} as u from values {rows} as x(k, h)"
        task = replace(sql_task("s.t", sql), materialization=how, attempt=step + 1)
        outcome = run(session, task, Stop())
        assert outcome.error is None, outcome.error

    def hashed(*values: object) -> str:
        return hashlib.md5("|".join(map(str, values)).encode()).hexdigest()

    later, gone = start + dt.timedelta(hours=1), start + dt.timedelta(days=2)
    found = session.query("select k, dbt_scd_id, dbt_updated_at from s.t order by k, valid_from")[1]
    assert [tuple(row) for row in found] == [
        (1, None, None),
        (1, hashed(1, later), later),
        (2, None, None),
        (2, hashed(hashed(2), gone), gone),
        (3, hashed(3, start), start),
    ]


def test_a_history_is_not_replaced_and_does_not_begin_in_another_table(
    session: spark.SparkSession, build: Build
) -> None:
    how = Snapshot("check", ("k",))
    assert build("select 1 as k", how).error is None
    error = build("select 1 as k", Incremental("append")).error
    assert error is not None
    assert error.name == "HistoryInTheWay"
    task = sql_task("s.other", "select 1 as k")
    assert run(session, task, Stop()).error is None
    error = run(session, replace(task, materialization=how, attempt=2), Stop()).error
    assert error is not None
    assert error.name == "NoSnapshot"
