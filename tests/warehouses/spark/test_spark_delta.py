"""Apache Spark's own server with Delta: one catalog for all sessions, and defaults of its own.

test_spark.py and the conformance suite ask it as they ask Sail ("apache"); this is what only such a
server has. tests/support/spark_server.py says what it needs.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.materializations import Incremental, View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.spark import session as spark
from spark_server import SparkServer
from systems import T, commits_at, create, session_of
from tasks import sql_task

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]

TASK = sql_task("s.t", "select 'new' as n", builder="b")


@pytest.fixture
def settings(apache_spark: SparkServer, location: str) -> dict[str, Any]:
    return {**apache_spark.settings, "location": location}


def test_spark_itself_reads_the_proof_and_the_rows(
    session: spark.SparkSession, location: str
) -> None:
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert run(session, replace(TASK, attempt=2), Stop()).verdict is Verdict.COMMITTED
    told = session.execute(f"select n from delta.`{location}/s/t`")
    assert told == [("new",)]
    history = session.execute(f"describe history delta.`{location}/s/t`")
    said = [json.loads(value) for row in history for value in row if "dagster_models" in str(value)]
    assert [it["commits"][0]["attempt"] for it in said] == [2, 1]


@pytest.mark.parametrize("how", [TASK.materialization, View()])
def test_two_locations_do_not_take_each_others_names(
    session: spark.SparkSession, settings: dict[str, Any], location: str, how: Any
) -> None:
    """As a target for development and one for production, on one server."""
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    elsewhere = spark.connect({**settings, "location": f"{location}-dev"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        theirs = replace(TASK, content=Query("select 'dev' as n"), materialization=how)
        error = run(other, theirs, Stop()).error
        assert error is not None
        assert error.name == "ForeignRelation"
        named = replace(theirs, relation=Relation("dev", "t"), attempt=2)
        assert run(other, named, Stop()).error is None
        assert other.query("select n from dev.t")[1] == [("dev",)]
    assert session.query("select n from s.t")[1] == [("new",)]


DEFAULTS = {
    "enableDeletionVectors": "true",
    "columnMapping.mode": "name",
    "enableRowTracking": "true",
    "enableChangeDataFeed": "true",
    "enableInCommitTimestamps": "true",
    "checkpointPolicy": "v2",
}


@pytest.mark.parametrize("default", DEFAULTS)
def test_what_the_server_has_in_each_new_table_changes_no_row(
    session: spark.SparkSession, location: str, default: str
) -> None:
    key = f"spark.databricks.delta.properties.defaults.{default}"
    session.execute(f"set {key} = {DEFAULTS[default]}")
    try:
        create(session, "table", "select id as k, 'old' as v from range(10)")
        task = sql_task("s.t", "select id as k, 'new' as v from range(5, 12)")
        task = replace(task, materialization=Incremental("merge", ("k",)))
        assert run(session, task, Stop()).error is None
        wanted = [(k, "old" if k < 5 else "new") for k in range(12)]
        assert session.query("select k, v from s.t order by k")[1] == wanted
    finally:
        session.execute(f"reset {key}")
    assert session.query("select k, v from s.t order by k")[1] == wanted


def test_what_somebody_else_deletes_stays_deleted(
    session: spark.SparkSession, location: str
) -> None:
    """A deletion vector is in the log of the table, not in the files that a stage would name."""
    create(session, "table", "select id as k, 'old' as v from range(1000)")
    theirs = f"delta.`{location}/s/t`"
    session.execute(
        f"alter table {theirs} set tblproperties ('delta.enableDeletionVectors' = 'true')"
    )
    session.execute(f"delete from {theirs} where k = 3")
    count = "select count(*) from s.t"
    assert session.query(count)[1] == [(999,)]
    task = sql_task("s.t", "select 2000L as k, 'new' as v")
    how = Incremental("append")
    error = run(session, replace(task, materialization=how), Stop()).error
    assert error is not None
    assert error.name == "ForeignFiles"
    assert session.query(count)[1] == [(999,)]
    anew = replace(how, full_refresh=True)
    error = run(session, replace(task, materialization=anew, attempt=2), Stop()).error
    assert error is None, error
    assert session.query("select k, v from s.t")[1] == [(2000, "new")]


def test_vacuum_keeps_what_is_published(session: spark.SparkSession, location: str) -> None:
    for attempt in (1, 2, 3):
        task = replace(TASK, attempt=attempt, materialization=Incremental("append"))
        assert run(session, task, Stop()).error is None
    session.execute("set spark.databricks.delta.retentionDurationCheck.enabled = false")
    before = {*Path(location).rglob("*.parquet")}
    session.execute(f"vacuum delta.`{location}/s/t` retain 0 hours")
    assert {*Path(location).rglob("*.parquet")} < before
    assert session.query("select n from s.t")[1] == [("new",)] * 3
    assert len(commits_at(location)) >= 3
    assert session.there([T]) == [T]
