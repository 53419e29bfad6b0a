"""Spark's client or server is killed at any moment: what is said of an attempt is what happened.

The oracle is delta-rs, or pyiceberg: the rows of each version of the table, beside what its commit
says. Set
DAGSTER_MODELS_SPARK_KILLS to the number of kills.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import spark_writer
from connect_server import ConnectServer
from dagster_models.core.tasks import AttemptId
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.spark import session as spark
from killed_writers import Start, kill_at_random, writers
from spark_server import SparkServer
from spark_writer import ROWS, T
from systems import commits_at, rows_of_version, server_of, spark_settings
from tasks import sql_task

KILLS = int(os.environ.get("DAGSTER_MODELS_SPARK_KILLS", "2"))


#: One of so many kills is also the server's, where that is Spark's own: it starts slowly.
SERVER_EACH = 10


@pytest.fixture
def shared(request: pytest.FixtureRequest, way: str) -> ConnectServer:
    return server_of(request, way)


@pytest.fixture
def server(shared: ConnectServer) -> Iterator[ConnectServer]:
    """One of its own, as it is killed."""
    server = type(shared)()
    yield server
    server.stop()


@pytest.fixture
def start(shared: ConnectServer, tmp_path: Path) -> Iterator[Start]:
    """Starts a writer; in the end all of them are killed."""
    with writers(spark_writer.__file__, tmp_path) as start:
        yield lambda settings, first, dies="", kind="": start(settings, first, dies, kind)


def attempts_at(location: str) -> dict[int, int]:
    """Attempt -> the version of the table that its proof is in."""
    return {
        commit["attempt"]: version
        for _, _, version, said in commits_at(location)
        for commit in said.get("commits", ())
    }


def rows_at(location: str, version: int) -> tuple[set[int], int]:
    """The numbers of attempts in the rows of a version, and how many rows there are."""
    rows = rows_of_version(location, version)
    return set(rows.column("n").to_pylist()), rows.num_rows


@pytest.fixture
def settings(way: str, tmp_path: Path) -> dict[str, Any]:
    """Without a server."""
    return spark_settings({}, str(tmp_path / "tables"), way)


def unproved(
    session: spark.SparkSession, published: dict[int, int], said: list[int], first: int
) -> tuple[list[str], int, int]:
    """Where what a new process says of the attempts from *first* on is not what the log says, or
    the log not what the writer has said; how many attempts were in doubt; and the number of the
    next one."""
    acked, doubted = [it for it in said if it > 0], 0
    found = [f"{-it} was reported as not published, and is" for it in said if -it in published]
    last = max([first - 1, *published, *acked])
    for attempt in range(first, last + 3):
        proof = find_proof(session, T, AttemptId("killed", "s.t", attempt))
        doubted += attempt not in said and -attempt not in said
        if attempt in acked and proof is None:
            found.append(f"{attempt} was acknowledged and has no proof")
        if (proof is not None) != (attempt in published):
            found.append(f"{attempt}: {proof} and {published.get(attempt)}")
    return found, doubted, last + 3


def disagreements(
    settings: dict[str, Any], said: list[int], first: int
) -> tuple[list[str], int, int]:
    """``unproved``, and where the table says otherwise."""
    location = settings["location"]
    with contextlib.closing(spark.connect(settings)) as warehouse:
        session = warehouse.session("settles")
        session.fence(f"writer-{first}", 10, T)
        published = attempts_at(location)
        found, doubted, following = unproved(session, published, said, first)
        for attempt, version in published.items():
            if attempt >= first and rows_at(location, version) != ({attempt}, ROWS):
                found.append(f"version {version} of {attempt} has {rows_at(location, version)}")
        if published:
            newest = max(published, key=lambda it: published[it])
            seen = session.query("select min(n), max(n), count(*) from s.t")[1]
            if seen != [(newest, newest, ROWS)]:
                found.append(f"{newest} is the last one, and {seen} is read")
    return found, doubted, following


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_two_hundred_kills(server: ConnectServer, start: Start, settings: dict[str, Any]) -> None:
    """Fifty of Spark's own server, as each takes so long."""
    kills = 50 if isinstance(server, SparkServer) else 200
    kill_spark_at_random(server, start, settings, kills)


@pytest.mark.timeout(300 + 60 * KILLS)
def test_kills_at_random_moments(
    server: ConnectServer, start: Start, settings: dict[str, Any]
) -> None:
    kill_spark_at_random(server, start, settings, KILLS)


def kill_spark_at_random(
    server: ConnectServer, start: Start, settings: dict[str, Any], kills: int
) -> None:
    settings, name = {**server.settings, **settings}, f"spark {settings.get('format', '')}"
    each = SERVER_EACH if isinstance(server, SparkServer) else 3
    settle = partial(disagreements, settings)
    kill_at_random(server, partial(start, settings), kills, name, settle, each)


def test_a_kill_between_the_commit_and_its_answer(
    shared: ConnectServer, start: Start, settings: dict[str, Any]
) -> None:
    settings = {**shared.settings, **settings}
    writer = start(settings, 1, "after_commit")
    writer.wait_for_the_end()
    assert writer.lines() == ["ready"]
    assert attempts_at(settings["location"]) == {1: int("format" in settings)}
    assert disagreements(settings, [], 1)[0] == []


def test_an_orphan_of_a_killed_client_publishes_nothing(
    shared: ConnectServer, start: Start, settings: dict[str, Any]
) -> None:
    """Its statement ends on the server after the client's death, and its rows are nobody's."""
    settings, location = {**shared.settings, **settings}, settings["location"]
    with contextlib.closing(spark.connect(settings)) as warehouse:
        session = warehouse.session()
        session.prepare(["s"])
        assert run(session, sql_task("s.t", "select 'old' as n"), Stop()).error is None
        writer = start(settings, 1)
        writer.wait_for(1)
        stages = {*Path(location, "s/t").glob("stage-*")}
        writer.wait_until(lambda: {*Path(location, "s/t").glob("stage-*")} - stages)
        writer.kill()
        published = attempts_at(location)
        assert session.fence("writer-1", 10, T)
        for _ in range(20):
            assert attempts_at(location) == published
            time.sleep(0.02)
        again = run(session, sql_task("s.t", "select 'new' as n", attempt=2), Stop())
        assert again.error is None
        assert session.query("select n from s.t")[1] == [("new",)]
