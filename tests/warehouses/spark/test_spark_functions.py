"""Functions of SQL on Spark's own server, whose proof is the log of their name.

The server is that of test_spark_server.py. What needs none of its functions is asked of Sail.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from test_spark_server import settings_of

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import Function, View
from dagster_models.core.messages import Verdict
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark.server import Server
from sail_server import SailServer
from systems import given_up, session_of
from tasks import sql_task


def of_spark(test: Any) -> Any:
    return pytest.mark.nightly(pytest.mark.timeout(600)(test))


TWICE = Function((("x", "bigint"),), (("", "bigint"),))
TABLE = Function((("x", "int"),), (("n", "bigint"), ("k", "string")))


@pytest.fixture
def settings(request: pytest.FixtureRequest, location: str) -> dict[str, Any]:
    return settings_of(request, location)


@pytest.fixture
def schema(tmp_path: Path) -> str:
    """One of its own: the server's catalog outlives the test."""
    return f"f_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_").lower()[:60]


@pytest.fixture
def session(settings: dict[str, Any], schema: str) -> Iterator[spark.SparkSession]:
    with contextlib.closing(spark.connect(settings)) as warehouse, session_of(warehouse) as session:
        session.prepare([schema])
        yield session
        session.execute(f"drop schema {schema} cascade")


attempts = itertools.count(1)


def task(schema: str, sql: str, how: Any = TWICE, **more: Any) -> BuildTask:
    built = sql_task(f"{schema}.f", sql, attempt=next(attempts), builder="b", **more)
    return replace(built, materialization=how)


def made(session: spark.SparkSession, it: BuildTask) -> None:
    outcome = run(session, it, Stop())
    assert outcome.error is None, outcome.error
    assert outcome.verdict is Verdict.COMMITTED


def rows(session: spark.SparkSession, sql: str) -> list[tuple[Any, ...]]:
    return session.query(sql)[1]


X = "select CAST(`$x` AS bigint)"
FROM_VALUES = "select k, n from (values (1, 'a'), (2, 'b')) as v(n, k) where n > CAST(`$x` AS int)"


@of_spark
def test_a_function_that_returns_a_table(session: spark.SparkSession, schema: str) -> None:
    made(session, task(schema, FROM_VALUES, TABLE))
    with pytest.raises(WarehouseError):
        session.query(f"select {schema}.f(1) + 1")
    try:
        found = session.query(f"select * from {schema}.f(1)")
    except WarehouseError as error:
        if "INVALID_TABLE_VALUED_FUNC_NAME" not in error.message:
            raise
        pytest.skip("Spark 4.0 takes no schema before a function that returns a table")
    assert found == (["n", "k"], [(2, "b")])


@of_spark
def test_values_tables_and_other_forms(session: spark.SparkSession, schema: str) -> None:
    made(session, task(schema, f"{X} * 10"))
    assert rows(session, f"select {schema}.f(4), {schema}.f(null)") == [(40, None)]
    made(session, task(schema, FROM_VALUES, TABLE))
    other = Function((("y", "decimal(9,1)"), ("z", "int")), (("", "string"),))
    made(session, task(schema, "select CAST(`$y` AS decimal(9,1)) + CAST(`$z` AS int)", other))
    assert rows(session, f"select {schema}.f(1.26, 2)") == [("3.3",)]
    made(session, task(schema, f"{X} * 10"))
    assert rows(session, f"select {schema}.f(4)") == [(40,)]


@of_spark
def test_what_calls_it_sees_the_new_text(
    session: spark.SparkSession, settings: dict[str, Any], schema: str
) -> None:
    made(session, task(schema, f"{X} * 10"))
    session.execute(f"create view {schema}.v as select {schema}.f(4) as x")
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        assert rows(other, f"select x, {schema}.f(1) from {schema}.v") == [(40, 10)]
        made(session, task(schema, f"{X} * 100"))
        assert rows(session, f"select x, {schema}.f(1) from {schema}.v") == [(400, 100)]
        assert rows(other, f"select x, {schema}.f(1) from {schema}.v") == [(400, 100)]


@of_spark
def test_an_error_or_a_failed_check_leaves_the_old_one(
    session: spark.SparkSession, schema: str
) -> None:
    made(session, task(schema, f"{X} * 10"))
    for wrong in ("no_such_function(2)", "no_such_column"):
        error = run(session, task(schema, f"select 1 +\n{wrong}"), Stop()).error
        assert error is not None
        assert error.line == 2, error.message
    check = CheckTask("c", f"select 1 as n where {OWN_RELATION}(1) <> 10")
    made(session, task(schema, f"{X} * 5 * 2", checks=(check,)))
    outcome = run(session, task(schema, f"{X} * 100", checks=(check,)), Stop())
    assert [it.failures for it in outcome.checks] == [1]
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert rows(session, f"select {schema}.f(4)") == [(40,)]
    left = rows(session, "show schemas like 'dagster_models_stage*'")
    assert left == []


@of_spark
def test_a_relation_or_a_function_of_somebody_else_is_kept(
    session: spark.SparkSession, schema: str
) -> None:
    session.execute(f"create function {schema}.f(a int) returns int return a")
    error = run(session, task(schema, f"{X} * 10"), Stop()).error
    assert error is not None
    assert error.name == "ForeignRelation"
    assert rows(session, f"select {schema}.f(4)") == [(4,)]
    session.execute(f"drop function {schema}.f")
    made(session, task(schema, "select 1 as n", View()))
    error = run(session, task(schema, f"{X} * 10"), Stop()).error
    assert error is not None
    assert "would stay beside the function" in error.message
    assert rows(session, f"select n from {schema}.f") == [(1,)]


@of_spark
def test_a_view_takes_its_place(session: spark.SparkSession, schema: str) -> None:
    made(session, task(schema, f"{X} * 10"))
    made(session, task(schema, "select 1 as n", View()))
    assert rows(session, f"select n from {schema}.f") == [(1,)]
    with pytest.raises(WarehouseError):
        session.query(f"select {schema}.f(1)")


@of_spark
def test_the_log_proves_it_and_shows_it_to_a_server_that_has_lost_it(
    session: spark.SparkSession,
    settings: dict[str, Any],
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a kill between the commit and the server's answer, and after a restart."""
    first, second = task(schema, f"{X} * 10"), task(schema, f"{X} * 100")
    made(session, first)
    monkeypatch.setattr(session.catalog, "show_published", lambda relation: None)
    made(session, second)
    assert rows(session, f"select {schema}.f(4)") == [(400,)]  # the next refresh shows it
    session.execute(f"drop function {schema}.f")
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        assert rows(other, f"select {schema}.f(4)") == [(400,)]
        assert find_proof(other, second.relation, second.id) is not None
        assert other.built_by("b") == []  # `clean` knows relations only


# Without a server that has functions -------------------------------------------------------------


@pytest.fixture
def of_sail(sail: SailServer, tmp_path: Path) -> Iterator[spark.Spark]:
    location = {"location": str(tmp_path / "tables")}
    with contextlib.closing(spark.connect({**sail.settings, **location})) as warehouse:
        yield warehouse


@pytest.fixture
def sailing(of_sail: spark.Spark) -> Iterator[spark.SparkSession]:
    with session_of(of_sail) as session:
        session.prepare(["s"])
        yield session


def test_a_server_without_functions_says_so(sailing: spark.SparkSession) -> None:
    outcome = run(sailing, task("s", f"{X} * 10"), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.name) == (ErrorKind.UNSUPPORTED, "NoFunctions")
    assert sailing.find_proofs(None) == []


def test_one_commit_proves_a_function_and_a_fence_keeps_it_away(
    of_sail: spark.Spark, sailing: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sail is not sent what it does not know, and says that there is no function."""
    sent = list[str]()
    command, asked = sailing.server.command, sailing.server.run

    def keep(sql: str, *more: Any) -> None:
        sent.append(sql) if " FUNCTION " in sql else command(sql, *more)

    def nothing(sql: str, *more: Any) -> Any:
        return pa.table({}) if "USER FUNCTIONS" in sql else asked(sql, *more)

    monkeypatch.setattr(sailing.server, "command", keep)
    monkeypatch.setattr(sailing.server, "run", nothing)
    first = task("s", f"{X} * 10")
    made(sailing, first)
    *_, shown = sent
    assert re.sub(r"_\w{12}'", "_'", shown).split("\n") == [
        "CREATE OR REPLACE FUNCTION `s`.`f`(`$x` bigint) RETURNS bigint COMMENT 'dagster_models_'"
        " RETURN CAST((",
        "select CAST(`$x` AS bigint) * 10",
        ") AS bigint)",
    ]
    assert find_proof(sailing, first.relation, first.id) is not None
    second = task("s", f"{X} * 100")
    with (
        given_up(of_sail, sailing, second) as (lost, staged),
        pytest.raises(WarehouseError, match="given up by another process"),
    ):
        lost.publish(staged, commits_of(second, staged))
    assert find_proof(sailing, second.relation, second.id) is None
    assert not any("`s`.`f`" in it and "* 100" in it for it in sent)


def test_a_server_that_has_lost_the_schema_gets_the_function_again(
    sailing: spark.SparkSession, sail: SailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restart, where the schema has nothing but functions. Sail is not sent what it does
    not know; Spark lists no functions of a schema that is not there."""
    sent = list[str]()
    command, asked = Server.command, Server.run

    def keep(self: Server, sql: str, *more: Any) -> None:
        sent.append(sql) if " FUNCTION " in sql else command(self, sql, *more)

    def listed(self: Server, sql: str, *more: Any) -> Any:
        if "USER FUNCTIONS" not in sql:
            return asked(self, sql, *more)
        if "s" not in asked(self, "SHOW SCHEMAS").column(0).to_pylist():
            raise WarehouseError(ErrorKind.BAD_COLUMN, "[SCHEMA_NOT_FOUND]")
        return pa.table({})

    monkeypatch.setattr(Server, "command", keep)
    monkeypatch.setattr(Server, "run", listed)
    made(sailing, task("s", f"{X} * 10"))
    sent.clear()
    settings = {**sail.settings, "location": str(tmp_path / "tables"), "user": "other"}
    with contextlib.closing(spark.connect(settings)):
        assert [it.partition("(")[0] for it in sent] == ["CREATE OR REPLACE FUNCTION `s`.`f`"]
