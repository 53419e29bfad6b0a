"""Apache Spark's own Connect server: what needs no Delta, as queries, views, errors and a cancel.

DAGSTER_MODELS_TEST_SPARK=host:port names one that has none. Without it they ask the server of
`support/spark_server.py`, whose Delta is not used here.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.extras import Extras
from dagster_models.core.materializations import View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.spark import session as spark
from systems import session_of
from tasks import sql_task

SERVER = os.environ.get("DAGSTER_MODELS_TEST_SPARK", "")
#: For the first test the server is started.
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(600)]


def settings_of(request: pytest.FixtureRequest, location: str) -> dict[str, Any]:
    """The server, with its tables in a folder of the test's own."""
    if not SERVER:
        return {**request.getfixturevalue("apache_spark").settings, "location": location}
    host, _, port = SERVER.rpartition(":")
    return {"host": host, "port": int(port), "location": location}


@pytest.fixture
def settings(request: pytest.FixtureRequest, location: str) -> dict[str, Any]:
    return settings_of(request, location)


@pytest.fixture
def name(tmp_path: Path) -> Relation:
    """A schema of its own: the server's catalog outlives the test."""
    return Relation(f"s_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_").lower(), "v")


@pytest.fixture
def session(settings: dict[str, Any], name: Relation) -> Iterator[spark.SparkSession]:
    warehouse = spark.connect(settings)
    with contextlib.closing(warehouse), session_of(warehouse) as session:
        session.prepare([name.schema])
        yield session
        session.execute(f"drop schema {name.schema} cascade")


@pytest.mark.parametrize(
    ("sql", "kind", "line"),
    [
        ("select 1,\n 2\nfrom s.nothing", ErrorKind.MISSING_RELATION, 3),
        ("select 1,\n nix\nfrom (select 1 as a)", ErrorKind.BAD_COLUMN, 2),
        ("select (1\n))", ErrorKind.SYNTAX, 2),
        (
            "select 1,\n cast(x as int) from (select 'a' || id as x from range(3))",
            ErrorKind.BAD_VALUE,
            2,
        ),
    ],
)
def test_errors_name_their_line(
    session: spark.SparkSession, sql: str, kind: ErrorKind, line: int
) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.query(sql)
    assert (caught.value.kind, caught.value.line) == (kind, line)


def test_a_view_is_published_and_another_process_takes_it_for_ours(
    session: spark.SparkSession, settings: dict[str, Any], name: Relation
) -> None:
    extras = Extras(comment="it's", column_comments={"n": "a number"})
    task = replace(
        sql_task("s.v", "select 1 as n"), relation=name, materialization=View(), extras=extras
    )
    assert run(session, task, Stop()).verdict is Verdict.COMMITTED
    described = session.execute(f"describe table extended {name}")
    assert ("n", "int", "a number") in described
    assert ("Comment", "it's", "") in described
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        again = replace(task, attempt=2)
        assert run(other, again, Stop()).verdict is Verdict.COMMITTED


def test_a_view_of_somebody_else_stays(session: spark.SparkSession, name: Relation) -> None:
    session.execute(f"create view {name} as select 'theirs' as n")
    task = replace(sql_task("s.v", "select 1 as n"), relation=name, materialization=View())
    error = run(session, task, Stop()).error
    assert error is not None
    assert error.name == "ForeignRelation"
    assert session.query(f"select n from {name}")[1] == [("theirs",)]


def test_a_cancel_is_proved_by_the_answer(session: spark.SparkSession) -> None:
    timer = threading.Timer(1, session.interrupt)
    timer.start()
    with pytest.raises(WarehouseError) as caught:
        session.query("select sum(a.id * b.id) from range(1000000000) a, range(1000000) b")
    timer.join()
    assert caught.value.kind is ErrorKind.INTERRUPTED
