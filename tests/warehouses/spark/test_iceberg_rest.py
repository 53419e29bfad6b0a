"""Iceberg tables whose catalog is behind a REST API: SeaweedFS, and pyiceberg is the oracle."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from traceback import format_exception_only
from typing import Any

import pyarrow as pa
import pytest
import requests

from dagster_models.core.materializations import Incremental, View
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from rest_catalog import SECRET, RestCatalogServer
from sail_server import SailServer
from systems import T, create, session_of
from tasks import sql_task

pytest.importorskip("pyiceberg")

from pyiceberg.exceptions import OAuthError

from dagster_models.warehouses.spark import iceberg_rest
from dagster_models.warehouses.spark import session as spark
from dagster_models.warehouses.spark.iceberg_errors import translated
from dagster_models.warehouses.spark.iceberg_rest import RestCatalogFolder

TASK = sql_task("s.t", "select 'new' as n", builder="b")


@pytest.fixture
def settings(sail: SailServer, rest_catalog: RestCatalogServer, tmp_path: Path) -> dict[str, Any]:
    location = str(tmp_path / "tables")
    return {**sail.settings, **rest_catalog.settings, "location": location}


@pytest.fixture
def session(settings: dict[str, Any]) -> Iterator[spark.SparkSession]:
    with contextlib.closing(spark.connect(settings)) as warehouse, session_of(warehouse) as session:
        session.prepare(["s"])
        yield session


def test_a_table_is_one_commit_of_the_catalog_with_its_proof(
    session: spark.SparkSession, rest_catalog: RestCatalogServer, settings: dict[str, Any]
) -> None:
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    table = rest_catalog.catalog().load_table("s.t")
    assert table.scan().to_arrow().to_pylist() == [{"n": "new"}]
    (snapshot,) = table.snapshots()
    assert '"attempt": 1' in snapshot.summary["dagster_models"]
    files = table.inspect.files().column("file_path").to_pylist()
    assert all(it.startswith(f"file://{settings['location']}/s/t/") for it in files)
    assert session.query("select n from s.t")[1] == [("new",)]


def test_rows_are_added_to_what_others_have_added(
    session: spark.SparkSession, rest_catalog: RestCatalogServer
) -> None:
    create(session, "table", "select 1L as n")
    rest_catalog.catalog().load_table("s.t").append(pa.table({"n": pa.array([2], pa.int64())}))
    added = replace(sql_task("s.t", "select 3L as n"), materialization=Incremental("append"))
    assert run(session, added, Stop()).error is None
    rows = rest_catalog.catalog().load_table("s.t").scan().to_arrow().column("n").to_pylist()
    assert sorted(rows) == [1, 2, 3]
    assert session.query("select n from s.t order by n")[1] == [(1,), (2,), (3,)]


def test_what_others_commit_is_seen_after_some_moments_and_what_is_ours_at_once(
    session: spark.SparkSession, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_rest, "_FRESH_SECONDS", 3600)
    elsewhere = spark.connect({**settings, "user": "other"})
    with contextlib.closing(elsewhere), session_of(elsewhere) as other:
        other.prepare(["s"])
        create(session, "table", "select 1 as n")
        assert session.query("select n from s.t")[1] == [(1,)]
        with pytest.raises(WarehouseError):
            other.query("select n from s.t")
        monkeypatch.setattr(iceberg_rest, "_FRESH_SECONDS", 0)
        assert other.query("select n from s.t")[1] == [(1,)]


def test_a_commit_whose_answer_is_lost_is_settled_by_the_catalog(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = iceberg_rest._TimedAdapter.send

    def lose_the_answer(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        answer = send(self, request, *args, **options)
        if is_commit(request) and "new" not in lost:
            lost.append("new")
            answer.close()
            raise requests.ConnectionError("the answer is lost")
        return answer

    lost: list[str] = []
    monkeypatch.setattr(iceberg_rest._TimedAdapter, "send", lose_the_answer)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert lost
    assert session.query("select n from s.t")[1] == [("new",)]


@pytest.mark.parametrize("is_there", [False, True])
def test_a_commit_that_arrives_after_its_step_has_failed_is_refused(
    session: spark.SparkSession, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """A proxy has taken the request, and sends it to the catalog later."""
    if is_there:
        create(session, "table", "select 'old' as n")
    send, kept = iceberg_rest._TimedAdapter.send, []

    def keep(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        if not is_commit(request) or kept:
            return send(self, request, *args, **options)
        kept.append((self, request))
        raise requests.ConnectionError("no answer in time")

    monkeypatch.setattr(iceberg_rest._TimedAdapter, "send", keep)
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.transient) == (ErrorKind.UNREACHABLE, True)
    ((adapter, request),) = kept
    assert send(adapter, request).status_code == 409
    if is_there:
        assert session.query("select n from s.t")[1] == [("old",)]
    else:
        assert session.there([T]) == []
    again = replace(TASK, attempt=2)
    assert run(session, again, Stop()).verdict is Verdict.COMMITTED


def is_commit(request: Any) -> bool:
    return request.method == "POST" and request.url.endswith("/namespaces/s/tables/t")


def test_a_fenced_session_publishes_nothing(
    session: spark.SparkSession, settings: dict[str, Any]
) -> None:
    with contextlib.closing(spark.connect(settings)) as warehouse:
        lost = warehouse.session("lost")
        staged = lost.build(TASK)
        assert session.fence("lost", 5, T)
        with pytest.raises(WarehouseError, match="given up by another process"):
            lost.publish(staged, commits_of(TASK, staged))
        lost.close()
    assert session.there([T]) == []


def test_a_dropped_table_is_an_empty_one_for_others_until_it_is_built_again(
    session: spark.SparkSession, rest_catalog: RestCatalogServer
) -> None:
    """A REST catalog would also drop what somebody else has published since."""
    run(session, TASK, Stop())
    session.drop(T, "b")
    assert session.there([T]) == []
    assert rest_catalog.catalog().load_table("s.t").scan().to_arrow().num_rows == 0
    view = replace(TASK, attempt=2, materialization=View())
    assert run(session, view, Stop()).verdict is Verdict.COMMITTED
    assert session.query("select n from s.t")[1] == [("new",)]


@pytest.mark.parametrize(
    "changed",
    [
        {"catalog_credential": f"etl:not{SECRET}"},
        {"catalog_credential": "", "catalog_token": f"not{SECRET}"},
        {"catalog_credential": ""},
    ],
)
def test_a_catalog_that_refuses_says_so_without_the_secret(
    settings: dict[str, Any], changed: dict[str, str]
) -> None:
    with pytest.raises(WarehouseError, match="catalog refuses") as caught:
        spark.connect({**settings, **changed})
    assert caught.value.kind is ErrorKind.PERMISSION
    assert SECRET not in caught.value.message


@pytest.mark.parametrize(
    ("closed", "answer"),
    [
        ("/namespaces/s/tables/t", "403"),
        ("/namespaces/s/tables/t", "no table"),
        ("/namespaces/hr/tables", "403"),
        ("/namespaces/hr/tables", "404"),  # somebody has dropped it since it was listed
    ],
)
def test_what_is_closed_to_the_token_is_the_matter_of_its_own_steps_alone(
    settings: dict[str, Any],
    rest_catalog: RestCatalogServer,
    monkeypatch: pytest.MonkeyPatch,
    closed: str,
    answer: str,
) -> None:
    for namespace in ("s", "hr"):
        rest_catalog.catalog().create_namespace(namespace)
    schema = pa.schema([("n", pa.int64())])
    rest_catalog.catalog().create_table("s.t", schema)
    send = iceberg_rest._TimedAdapter.send

    def close_it(self: Any, request: Any, *args: Any, **options: Any) -> Any:
        found = send(self, request, *args, **options)
        if request.url.partition("?")[0].endswith(closed) and request.method == "GET":
            assert found.content  # so that the connection is free again
            code = 404 if answer == "404" else 403
            said = {"error": {"message": "not yours", "type": "Refused", "code": code}}
            found.status_code, found._content = code, json.dumps(said).encode()
            if answer == "no table":
                found.status_code, found._content = 200, b'{"metadata": {"format-version": 99}}'
        return found

    monkeypatch.setattr(iceberg_rest._TimedAdapter, "send", close_it)
    with contextlib.closing(spark.connect(settings)) as warehouse, session_of(warehouse) as session:
        session.prepare(["s", "hr"])
        other = replace(TASK, step="s.u", relation=Relation("s", "u"))
        assert run(session, other, Stop()).verdict is Verdict.COMMITTED
        assert session.query("select n from s.u")[1] == [("new",)]
        if closed.endswith("/t"):
            error = run(session, TASK, Stop()).error
            assert error is not None
            assert error.kind is (ErrorKind.PERMISSION if answer == "403" else ErrorKind.IO)


def test_what_a_server_repeats_of_a_secret_is_not_shown() -> None:
    with pytest.raises(WarehouseError) as caught, translated(T, ["s3cr3t"]):
        raise OAuthError("invalid_client: s3cr3t is wrong")
    assert "s3cr3t" not in f"{caught.value}{caught.value.__cause__}"


def test_a_token_that_no_header_can_have_is_not_shown() -> None:
    """Neither in the message, which has it as a literal of Python, nor in a traceback. A line break
    at its end, as a file of a secret has one, is none of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(WarehouseError, match="header") as caught:
            RestCatalogFolder("/tmp", url, {"catalog_token": "s3cr3t\ntoken\n"})
    assert "s3cr3t" not in "".join(format_exception_only(caught.value))
    assert caught.value.__suppress_context__


@pytest.mark.timeout(60)
def test_a_catalog_that_does_not_answer_is_given_up(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(iceberg_rest, "_ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        catalog = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(WarehouseError, match="timed out") as caught:
            spark.connect({**settings, "catalog": catalog})
    assert (caught.value.kind, caught.value.transient) == (ErrorKind.UNREACHABLE, True)
