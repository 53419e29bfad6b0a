"""A server that does not answer keeps nobody waiting but those who need it.

The gate is a real socket between us and a real server. Shut, it accepts and never answers, as a
server that hangs does. ``connect_seconds`` is ten minutes, so whatever waits for a connection fails
its test by the test's own limit, also on a slow machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from addresses import PROGRAM, duckdb_at, postgres_at, text_of
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import Canceled
from dagster_models.execution.runners.events import Answered, NotStarted
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.processes.address import key_of
from dagster_models.processes.client.session import connect
from dagster_models.util import runtime_files
from dagster_models.warehouses.postgres.target import POSTGRES
from gate import Gate
from on_postgres import backends, next_events, postgres_project, until
from tasks import sql_task

pytestmark = pytest.mark.slow

LIMIT_SECONDS = 100.0  #: of a machine that is busy; connecting takes longer


@pytest.fixture
def away() -> Iterator[Gate]:
    with contextlib.closing(Gate()) as gate:
        yield gate


def settings_of(gate: Gate) -> dict[str, object]:
    account = {"user": "u", "dbname": "d", "sslmode": "disable"}
    return {"host": "127.0.0.1", "port": gate.port, **account, "connect_seconds": 600}


def test_a_task_waits_for_its_server_and_no_other_does(away: Gate, tmp_path: Path) -> None:
    """Others go on, and a cancel is answered at once."""
    database = duckdb_at(tmp_path / "w.duckdb")
    address = WarehouseAddress(POSTGRES, settings_of(away))
    task = sql_task("s.t", "select 1 as n")
    with contextlib.closing(TaskRunners()) as runners:
        runners.sql.start("away", task, address)
        assert away.knocked.wait(LIMIT_SECONDS)
        runners.sql.start("here", task, database)
        (answered,) = next_events(runners)
        assert isinstance(answered, Answered)
        assert (answered.step, answered.outcome.verdict) == ("here", Verdict.COMMITTED)
        runners.sql.cancel("away")
        (stopped,) = runners.queue.wait(0)
        assert isinstance(stopped, NotStarted)
        assert isinstance(stopped.error, Canceled)
        runners.sql.start("away", task, address)  # another attempt, of the same name
        runners.sql.kill("away")
        assert [type(event) for event in runners.queue.wait(0)] == [NotStarted]


def test_what_nobody_wants_any_more_is_given_up(away: Gate) -> None:
    """The warehouse process does not stay for a connection whose client is gone."""
    address = WarehouseAddress(POSTGRES, {**settings_of(away), "idle_seconds": 0.1})
    program = PROGRAM + "connect(address)"
    with subprocess.Popen([sys.executable, "-c", program, text_of(address)]) as client:
        assert away.knocked.wait(LIMIT_SECONDS)
        client.kill()
    lock = f"{key_of(address)}.lock"
    until(lambda: (held := runtime_files.acquire(lock)) is not None and not os.close(held))


def test_terminate_is_heard_while_the_server_is_away(away: Gate, tmp_path: Path) -> None:
    url = f"postgresql://u:p@127.0.0.1:{away.port}/d?sslmode=disable"
    project = postgres_project(
        tmp_path, {"models/a.sql": "select 1 as n"}, ", connect_seconds: 600"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        process = project.start()
    assert away.knocked.wait(LIMIT_SECONDS)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=LIMIT_SECONDS)
    print(f"from SIGTERM to the end of the process: {time.monotonic() - began:.2f} s")
    told = project.report(process.returncode, stdout, stderr)
    assert told.code != 0
    assert told.states() == {"main.a": "skipped"}
    assert "the run was stopped" in stdout
    assert told.of_type("STEP_START") == set()


def test_timeouts_and_other_steps_go_on_while_the_server_is_away(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first model has the only session until the other one's timeout has passed."""
    gate = Gate(1, postgres_dsn)
    monkeypatch.setenv("DATABASE_URL", gate.dsn)
    files = {
        "models/a.sql": "select pg_advisory_lock(11)::text as s",
        "models/below.sql": "select 1 as n from a",
        "models/b.sql": "/* @model\ntimeout: 1s */\nselect 1 as n",
    }
    project = postgres_project(tmp_path, files, ", connect_seconds: 600")
    with contextlib.closing(gate), psycopg.connect(postgres_dsn, autocommit=True) as other:
        other.execute("select pg_advisory_lock(11)")
        process = project.start()
        assert process.stdout is not None
        said = ""
        while "ERROR table main.b" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        other.execute("select pg_advisory_unlock(11)")
        stdout, stderr = process.communicate(timeout=LIMIT_SECONDS)
    told = project.report(process.returncode, said + stdout, stderr)
    assert gate.knocked.is_set()
    assert told.states() == {"main.a": "succeeded", "main.below": "succeeded", "main.b": "failed"}
    assert "its timeout passed" in told.stdout


def test_a_session_ends_also_where_no_cancel_reaches_the_server(
    postgres_dsn: str, admin: psycopg.Connection
) -> None:
    """A cancel takes a connection of its own, for which there may be no room. Another session
    lives on, so the process does not end either."""
    with contextlib.closing(Gate(2, postgres_dsn)) as gate:
        address = postgres_at(gate.dsn, idle_seconds=0.1)
        with connect(address) as other:
            with connect(address) as session:
                session.prepare(["s"])
                sql = "select pg_sleep(600)::text as s"
                one = sql_task("s.t", sql)
                session.send({"op": "task", "task": task_to_json(one)})
                until(lambda: backends(admin, "query like '%pg_sleep%'"))
            until(lambda: not backends(admin, "query like '%pg_sleep%'"))
            assert other.query("select 1") == [(1,)]
