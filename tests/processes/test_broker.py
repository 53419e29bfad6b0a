"""The warehouse process: real ones, on real DuckDB files, really killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from addresses import PROGRAM, duckdb_at, text_of
from dagster_models.core.commit import Commit
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import AttemptId, BuildTask, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import Canceled, ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes import handshake, wire
from dagster_models.processes.client import launch
from dagster_models.processes.client import session as sessions
from dagster_models.processes.client.session import Session, connect
from dagster_models.processes.server import operations
from dagster_models.processes.server.attempt import Stop
from dagster_models.processes.server.connection import ClientConnection
from dagster_models.util import runtime_files
from dagster_models.util.digests import digest_of
from dagster_models.warehouses.duckdb.target import DUCKDB
from tasks import arrow_task, csv_task, sql_task

#: Runs for minutes if nobody stops it.
ENDLESS = "select sum(i) as n from range(100000000000000) t(i)"


def address_of(path: Path, **settings: Any) -> WarehouseAddress:
    return duckdb_at(path, **{"idle_seconds": 0.5, **settings})


@pytest.fixture
def address(tmp_path: Path) -> WarehouseAddress:
    return address_of(tmp_path / "w.duckdb")


@pytest.fixture
def session(address: WarehouseAddress) -> Iterator[Session]:
    with connect(address) as session:
        yield session


def task(name: str, sql: str, *, run_id: str = "r", view: bool = False) -> BuildTask:
    return sql_task(f"s.{name}", sql, run_id=run_id, view=view)


def wait_for_exit(pid: int) -> int:
    return launch._children[pid].wait(timeout=20)


@contextlib.contextmanager
def python(code: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs ``code`` and talks through its pipes."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


CLIENT = PROGRAM + "session = connect(address)\n"


# Sessions ----------------------------------------------------------------------------------------


def test_values_cross_unchanged(session: Session) -> None:
    expected = session.query(
        "select 1, 'é', null, 2.5::double, 1.50::decimal(9,2), date '2020-02-29',"
        " timestamp '2020-02-29 01:02:03.000004', time '01:02:03', interval 1 day,"
        " '\\x00\\xff'::blob, [1, null], {'a': date '2020-01-01'}, map {1: 'x'}, true,"
        " 'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid, 170141183460469231731687303715884105727"
    )[0]
    import duckdb

    with duckdb.connect() as direct:
        assert [repr(v) for v in expected] == [
            repr(v)
            for v in direct.sql(
                "select 1, 'é', null, 2.5::double, 1.50::decimal(9,2), date '2020-02-29',"
                " timestamp '2020-02-29 01:02:03.000004', time '01:02:03', interval 1 day,"
                " '\\x00\\xff'::blob, [1, null], {'a': date '2020-01-01'}, map {1: 'x'}, true,"
                " 'f47ac10b-58cc-4372-a567-0e02b2c3d479'::uuid,"
                " 170141183460469231731687303715884105727"
            ).fetchall()[0]
        ]


def test_an_error_names_kind_and_line(session: Session) -> None:
    with pytest.raises(WarehouseError) as caught:
        session.query("select 1,\n  nope")
    assert (caught.value.name, caught.value.line) == ("BinderException", 2)
    assert session.query("select 1") == [(1,)], "the session is still of use"


def test_bulk_crosses_both_ways_and_leaves_no_file(session: Session) -> None:
    table = session.export("select i, 'x' || i as name from range(300000) r(i)")
    assert session.load(table, Relation("main", "copy")) == 300000
    assert session.load(table, "main.copy", "append") == 300000
    assert session.query("select count(*), count(distinct name) from copy") == [(600000, 300000)]
    assert [os.listdir(folder) for folder in session.bulk_folders] == [
        [] for _ in session.bulk_folders
    ]


def test_a_cut_bulk_file_is_refused(session: Session) -> None:
    session.execute("create table kept as select 1 as n")
    path = session.write_bulk(session.export("select * from range(100000)"))
    os.truncate(path, os.path.getsize(path) // 2)
    arrow = arrow_task("main.kept", path)
    outcome = session.run(arrow)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert session.query("from kept") == [(1,)]


def test_a_result_too_large_for_a_frame_is_an_error(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WarehouseError, match="use export"):
        session.query(f"select repeat('x', {wire.MAX_FRAME})")
    assert session.query("select 1") == [(1,)]


def test_bulk_moves_on_when_a_folder_is_full(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = session.export("select i from range(200000) r(i)")
    full, roomy = tmp_path / "full", tmp_path / "roomy"
    full.mkdir()
    roomy.mkdir()
    write = os.write

    def write_into(fd: int, data: Any) -> int:
        in_full = any(os.path.samestat(os.fstat(fd), path.stat()) for path in full.iterdir())
        if in_full and os.fstat(fd).st_size + len(data) > 500_000:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    session.bulk_folders = [str(full), str(roomy)]
    monkeypatch.setattr(os, "write", write_into)
    path = session.write_bulk(table)
    assert os.path.dirname(path) == str(roomy)
    assert list(full.iterdir()) == []
    assert session.run(arrow_task("s.t", path)).verdict is Verdict.COMMITTED
    assert session.query("select sum(i) from s.t") == [(sum(range(200000)),)]


def test_transactions_of_scripts(address: WarehouseAddress, session: Session) -> None:
    session.execute("create table t as select 1 as n")
    session.begin()
    session.execute("insert into t values (2)")
    with connect(address) as other:
        assert other.query("from t") == [(1,)]
    session.rollback()
    session.execute("begin; insert into t values (3); commit")
    assert session.query("from t") == [(1,), (3,)]


def test_a_commit_after_an_error_is_refused_not_swallowed(session: Session) -> None:
    session.execute("create table t as select 1 as n")
    for commit in (session.commit, lambda: session.execute("/* so */ COMMIT;")):
        session.begin()
        session.execute("insert into t values (2)")
        with pytest.raises(WarehouseError):
            session.execute("select cast('x' as int)")
        with pytest.raises(WarehouseError, match="nothing was committed"):
            commit()
        assert session.query("from t") == [(1,)]


# Cancel ------------------------------------------------------------------------------------------


def test_cancel_stops_a_long_query(session: Session) -> None:
    session.send({"op": "query", "sql": ENDLESS})
    session.cancel()
    answer = session.receive()
    assert isinstance(wire.error_from_json(answer["error"]), Canceled)
    assert session.query("select 1") == [(1,)]


def test_cancel_stops_a_build_and_leaves_the_old_one(session: Session) -> None:
    session.run(task("t", "select 'old' as n"))
    session.execute("create index on_n on s.t (n)")
    for _ in range(5):
        session.send({"op": "task", "task": task_to_json(task("t", ENDLESS, run_id="c"))})
        session.cancel()
        outcome = Outcome.from_json(session.receive()["outcome"])
        assert outcome.verdict is Verdict.CANCELED
        assert not session.settle(task("t", "", run_id="c"))
    assert session.query("from s.t") == [("old",)]
    assert session.query("select index_name from duckdb_indexes() where schema_name = 's'") == [
        ("on_n",)
    ]


def test_cancel_of_an_idle_session_is_harmless(session: Session) -> None:
    for number in range(50):
        session.cancel()
        assert session.query(f"select {number}") == [(number,)]


def test_a_cancel_at_any_moment_is_answered_with_the_truth(session: Session) -> None:
    """The oracle is what the table holds, not what we say of it."""
    session.prepare(["s"])
    chance = random.Random(7)
    seen = set()
    build = "select {} as n, count(*) as c from range(300) a, range(1000) b"
    held = -1
    for number in range(60):
        attempt = task("t", build.format(number), run_id=str(number))
        session.send({"op": "task", "task": task_to_json(attempt)})
        time.sleep(chance.uniform(0, 0.02))
        session.cancel()
        outcome = Outcome.from_json(session.receive()["outcome"])
        assert outcome.verdict in (Verdict.COMMITTED, Verdict.CANCELED), outcome.error
        if outcome.verdict is Verdict.COMMITTED:
            held = number
        if held >= 0:
            assert session.query("select n from s.t") == [(held,)]
        assert session.settle(attempt) is (outcome.verdict is Verdict.COMMITTED)
        seen.add(outcome.verdict)
    assert Verdict.CANCELED in seen


def test_an_own_error_is_no_cancel(session: Session) -> None:
    session.send({"op": "task", "task": task_to_json(task("t", "select nope"))})
    outcome = Outcome.from_json(session.receive()["outcome"])
    session.cancel()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.line == 1


# Ways to die -------------------------------------------------------------------------------------


def test_a_killed_client_is_rolled_back(address: WarehouseAddress, session: Session) -> None:
    session.execute("create table t as select 'old' as n")
    code = (
        CLIENT
        + "session.begin(); session.execute(\"create or replace table t as select 'new' as n\")\n"
        "print(session.session_id, flush=True); sys.stdin.read()"
    )
    with python(code, text_of(address)) as client:
        lost = line_of(client)
        client.kill()
        client.wait()
    assert not session.settle(task("t", ""), lost)
    assert session.query("from t") == [("old",)]
    session.execute("drop table t")  # nothing of the lost transaction is in the way


def test_a_client_killed_while_it_builds_is_interrupted(
    address: WarehouseAddress, session: Session
) -> None:
    code = (
        CLIENT + "session.send({'op': 'query', 'sql': sys.argv[2]})\n"
        "print(session.session_id, flush=True); sys.stdin.read()"
    )
    with python(code, text_of(address), ENDLESS) as client:
        lost = line_of(client)
        client.kill()
        client.wait()
    assert not session.settle(task("t", ""), lost, wait_seconds=5), "gone, so it was interrupted"


def test_a_live_session_leaves_an_attempt_in_doubt(
    address: WarehouseAddress, session: Session
) -> None:
    with connect(address) as other, pytest.raises(WarehouseError) as caught:
        session.settle(task("t", ""), other.session_id, wait_seconds=0.01)
    assert caught.value.kind is ErrorKind.IN_DOUBT


def test_a_killed_server_is_told_and_replaced(address: WarehouseAddress) -> None:
    with connect(address) as session:
        session.run(task("t", "select 'old' as n"))
        session.send({"op": "task", "task": task_to_json(task("t", ENDLESS, run_id="k"))})
        pid = session.server_pid
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WarehouseLost) as caught:
            session.receive()
        lost = session.session_id
    assert f"pid {pid}" in str(caught.value)
    assert "SIGKILL" in str(caught.value)
    assert "memory" in str(caught.value)
    with connect(address) as session:
        assert session.server_pid != pid
        assert not session.settle(task("t", "", run_id="k"), lost)
        assert session.settle(task("t", "", run_id="r"), lost)
        assert session.query("from s.t") == [("old",)]


def test_a_frozen_server_is_killed_after_the_wait(
    address: WarehouseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has answered before, so it is not given the time in which others open the database."""
    given = list[float | None]()

    def connect_(address: WarehouseAddress, timeout_seconds: float | None = None) -> Session:
        given.append(timeout_seconds)
        return connect(address, timeout_seconds)

    with connect(address) as session:
        session.run(task("t", "select 'old' as n"))
        session.send({"op": "task", "task": task_to_json(task("t", ENDLESS, run_id="k"))})
        monkeypatch.setattr(sessions, "connect", connect_)
        os.kill(session.server_pid, signal.SIGSTOP)
        try:
            assert (
                sessions.settle(address, task("t", "", run_id="k"), session.identity, 0.1) is False
            )
            with pytest.raises(WarehouseLost):
                session.receive()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(session.server_pid, signal.SIGCONT)
    assert sessions.settle(address, task("t", ""), session.identity) is True
    assert given == [0.1, None, None]


@pytest.mark.parametrize("_", range(5))
def test_sigterm_ends_the_server_in_order(address: WarehouseAddress, _: int) -> None:
    """Whichever thread the signal meets, and whatever the task has come to."""
    with connect(address) as session:
        session.send({"op": "task", "task": task_to_json(task("t", ENDLESS))})
        os.kill(session.server_pid, signal.SIGTERM)
        outcome = Outcome.from_json(session.receive()["outcome"])
        assert outcome.verdict is Verdict.CANCELED
        assert wait_for_exit(session.server_pid) == 0


def test_a_full_disk_never_lies(tmp_path: Path) -> None:
    """Writes past 4 MB fail, also in the middle of a COMMIT: what is reported holds afterwards."""
    path = tmp_path / "w.duckdb"
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))\n"
        + CLIENT
        + "from dagster_models.core.model import Relation\n"
        "from dagster_models.core.tasks import BuildTask, Query\n"
        "from dagster_models.errors import WarehouseLost\n"
        "for number in range(8):\n"
        "    sql = f'select {number} as n, uuid() as u from range(40000)'\n"
        "    task = BuildTask('r', 's.t', number, Relation('s', f't{number}'), Query(sql))\n"
        "    try:\n"
        "        verdict = session.run(task).verdict.value\n"
        "    except WarehouseLost:\n"
        "        verdict = 'lost'\n"
        "        session = connect(address)\n"
        "    except Exception as error:\n"
        "        verdict = repr(error)\n"
        "    print(verdict, flush=True)\n"
    )
    with python(code, text_of(address_of(path, idle_seconds=0.1))) as client:
        verdicts = client.communicate(timeout=60)[0].split()
    assert "committed" in verdicts
    assert verdicts[-1] != "committed"
    with connect(address_of(path)) as session:
        for number, verdict in enumerate(verdicts):
            attempt = sql_task("s.t", attempt=number)
            there = session.query(f"select * from duckdb_tables() where table_name = 't{number}'")
            assert session.settle(attempt) is bool(there)
            if verdict != "lost":
                assert bool(there) is (verdict == "committed"), (number, verdicts)


def test_a_database_that_broke_is_opened_anew(tmp_path: Path) -> None:
    """A checkpoint that fails makes DuckDB refuse everything: the process ends, the data stays."""
    address = address_of(tmp_path / "w.duckdb")
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))\n"
        + CLIENT
        + "print(session.server_pid, flush=True); sys.stdin.readline()\n"
        "for number in range(12):\n"
        "    session.execute(f'create table t{number} as select uuid() from range(9000)')\n"
        "try: session.execute('checkpoint')\n"
        "except Exception as error: print(error.name, flush=True)\n"
    )
    with python(code, text_of(address)) as client:
        pid = int(line_of(client))
        with connect(address) as other:
            assert other.server_pid == pid
            assert client.stdin is not None
            client.stdin.write("\n")
            client.stdin.flush()
            assert line_of(client) == "FatalException"
            with pytest.raises(WarehouseError, match="Failed to create checkpoint"):
                other.query("select 1")
    with connect(address) as session:
        assert session.server_pid != pid
        assert session.query("select count(*) from duckdb_tables()") == [(12,)]


# Who serves --------------------------------------------------------------------------------------


def test_twenty_clients_at_once_get_one_server(address: WarehouseAddress) -> None:
    code = CLIENT + "print(session.server_pid, flush=True); sys.stdin.read()"
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(python(code, text_of(address))) for _ in range(20)]
        assert len({line_of(client) for client in clients} - {""}) == 1


def test_of_two_servers_one_is_elected(
    address: WarehouseAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch.Starter, "ensure_started", lambda _: None)
    command = [sys.executable, "-m", "dagster_models.processes.server"]
    text = tmp_path / "address.json"
    text.write_text(text_of(address))
    with contextlib.ExitStack() as stack:
        servers = []
        for _ in range(2):
            told = stack.enter_context(text.open())
            server = subprocess.Popen(command, stdin=told, stderr=subprocess.DEVNULL)
            servers.append(stack.enter_context(server))
        with connect(address) as session:
            winner, loser = sorted(servers, key=lambda server: server.pid != session.server_pid)
            assert winner.pid == session.server_pid
            assert loser.wait(timeout=20) == 0
            assert winner.poll() is None
        assert winner.wait(timeout=20) == 0


def test_an_idle_server_leaves_nothing_behind(address: WarehouseAddress, tmp_path: Path) -> None:
    with connect(address) as session:
        pid, folders = session.server_pid, session.bulk_folders
        listener = handshake.read_listener(session.path)
        assert listener is not None
    assert wait_for_exit(pid) == 0
    assert not os.path.exists(listener.socket)
    assert not any(os.path.exists(os.path.dirname(folder)) for folder in folders)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["w.duckdb", "w.duckdb.lock"]
    with connect(address) as session:
        assert session.server_pid != pid


def test_leftovers_of_a_killed_server_are_removed(address: WarehouseAddress) -> None:
    with connect(address) as session:
        session.bulk_path()
        folders = session.bulk_folders
        os.kill(session.server_pid, signal.SIGKILL)
        wait_for_exit(session.server_pid)
    assert all(os.path.isdir(folder) for folder in folders)
    with connect(address):
        assert not any(os.path.exists(folder) for folder in folders)


def test_only_the_owner_can_come_in(session: Session) -> None:
    listener = handshake.read_listener(session.path)
    assert listener is not None
    modes = {
        listener.socket: 0o600,
        os.path.dirname(listener.socket): 0o700,
        session.path + ".lock": 0o600,
        **dict.fromkeys(session.bulk_folders, 0o700),
    }
    assert {path: stat.S_IMODE(os.stat(path).st_mode) for path in modes} == modes


def test_a_private_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(WarehouseError, match="not a folder of this user"):
        runtime_files.private_folder(str(tmp_path / "link"))


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120) / ("e" * 80)
    folder.mkdir(parents=True)
    with connect(address_of(folder / "w.duckdb")) as session:
        assert len(session.path) > 200
        assert session.query("select 1") == [(1,)]


def test_another_temp_folder_finds_the_same_server(
    address: WarehouseAddress, session: Session, tmp_path: Path
) -> None:
    code = CLIENT + "print(session.server_pid)"
    other = {"TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with python(code, text_of(address), **other) as client:
        assert line_of(client) == str(session.server_pid)


def test_a_symlinked_path_is_the_same_database(session: Session, tmp_path: Path) -> None:
    (tmp_path / "alias.duckdb").symlink_to(tmp_path / "w.duckdb")
    with connect(address_of(tmp_path / "alias.duckdb")) as other:
        assert other.server_pid == session.server_pid


def test_a_removed_database_is_not_written_to(address: WarehouseAddress, tmp_path: Path) -> None:
    with connect(address) as session:
        session.execute("create table t as select 1")
        os.unlink(session.path)
        with pytest.raises(WarehouseError) as caught:
            connect(address)
        assert caught.value.kind is ErrorKind.REPLACED
    with connect(address) as session:
        assert session.query("select count(*) from duckdb_tables()") == [(0,)]
        assert os.path.exists(session.path)


def test_what_goes_to_a_removed_database_is_not_told_as_done(
    session: Session, tmp_path: Path
) -> None:
    session.prepare(["s"])
    session.begin()
    session.execute("create table t as select 1")
    os.unlink(session.path)
    (tmp_path / "w.duckdb.lock").unlink()  # as `rm -rf target` does
    for promise in (
        session.commit,
        session.begin,
        lambda: session.execute("create table u as select 1"),
        lambda: session.last_proofs([]),
    ):
        with pytest.raises(WarehouseError, match="removed or replaced") as caught:
            promise()
        assert caught.value.kind is ErrorKind.REPLACED
    outcome = session.run(task("t", "select 1"))
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.REPLACED


def test_a_seed_that_is_another_file_by_now_is_not_published(
    session: Session, tmp_path: Path
) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("code\n1\n")
    loaded = csv_task("s.t", path, digest_of(path.read_bytes()))
    session.prepare(["s"])
    assert session.run(loaded).verdict is Verdict.COMMITTED
    path.write_text("code\n2\n")
    outcome = session.run(replace(loaded, attempt=2))
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.CHANGED_FILE
    assert session.query("from s.t") == [(1,)]


# Refusals ----------------------------------------------------------------------------------------


def test_a_database_held_by_a_foreign_process(address: WarehouseAddress, tmp_path: Path) -> None:
    code = (
        "import duckdb, sys\nc = duckdb.connect(sys.argv[1]); print('open', flush=True);"
        " sys.stdin.read()"
    )
    with python(code, address.settings["path"]) as holder:
        assert line_of(holder) == "open"
        with pytest.raises(WarehouseError) as caught:
            connect(address.with_settings(lock_timeout=0.2))
        assert caught.value.kind is ErrorKind.IN_USE
        assert f"pid {holder.pid}" in caught.value.message
        assert "close the database" in caught.value.message
    with connect(address) as session:
        assert session.query("select 1") == [(1,)]


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "w.duckdb").write_text("hello " * 1000)
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        connect(address_of(tmp_path / "w.duckdb"))


def test_the_databases_folder_is_made(tmp_path: Path) -> None:
    with connect(address_of(tmp_path / "target" / "of" / "w.duckdb")) as session:
        assert session.query("select 1") == [(1,)]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WarehouseError, match="File exists") as caught:
        connect(address_of(tmp_path / "file" / "w.duckdb"))
    assert caught.value.kind is ErrorKind.START_FAILED  # after 20 s it would be a TIMEOUT


def test_a_python_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(WarehouseError, match=r"cannot be started: .*/python") as caught:
        connect(address_of(tmp_path / "w.duckdb"))
    assert "cannot write" not in str(caught.value)


def test_a_runtime_folder_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:  # short enough for a socket's address
        monkeypatch.setenv("XDG_RUNTIME_DIR", file.name)
        with connect(address_of(tmp_path / "w.duckdb")) as session:
            assert session.query("select 1") == [(1,)]


@pytest.mark.parametrize("path", [None, "", ":memory:"])
def test_a_path_that_is_no_file(path: str | None) -> None:
    with pytest.raises(WarehouseError, match="is not a file"):
        connect(WarehouseAddress(DUCKDB, {"path": path}))


def test_a_type_that_is_not_known(address: WarehouseAddress) -> None:
    with pytest.raises(WarehouseError, match="'oracle' is not a type of warehouse"):
        WarehouseAddress.from_json({**address.to_json(), "type": "oracle"})


def test_a_bad_setting_is_told(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="Memory"):
        connect(address_of(tmp_path / "w.duckdb", memory_limit="plenty"))


def greet(session: Session, **changed: Any) -> dict[str, Any]:
    listener = handshake.read_listener(session.path)
    assert listener is not None
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(listener.socket)
        wire.send(sock, {"op": "hello", **handshake.greeting(session.path), **changed})
        return wire.receive(sock)


@pytest.mark.parametrize("what", ["version", "protocol"])
def test_another_version_is_refused(session: Session, what: str) -> None:
    answer = greet(session, **{what: "0.0.0"})
    assert answer["error"]["name"] == "VersionMismatch"
    assert f"kill {session.server_pid}" in answer["error"]["message"]


def test_a_client_of_another_database_is_refused(session: Session) -> None:
    assert greet(session, path="/other")["error"]["name"] == "InvalidRequest"


def test_noise_does_not_hurt_the_server(session: Session) -> None:
    listener = handshake.read_listener(session.path)
    assert listener is not None
    for noise in (
        b"",
        b"\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        wire.encode({"op": "nope"}),
        b"\xff" * 9,
    ):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(listener.socket)
            sock.sendall(noise)
    with pytest.raises(WarehouseError, match="no operation 'nope'"):
        session.request({"op": "nope"})
    with pytest.raises(WarehouseError, match="InvalidRequest"):
        session.request({"op": "query"})
    assert session.query("select 1") == [(1,)]


def test_a_client_meets_a_dying_listener(tmp_path: Path) -> None:
    """One that accepts and says nothing, as a server that is leaving: the client tries again."""
    path = tmp_path / "w.duckdb"
    name = str(tmp_path / "dying.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        (tmp_path / "w.duckdb.lock").write_text(json.dumps({"socket": name, "pid": 1}))
        hung_up = threading.Event()

        def hang_up() -> None:
            listener.accept()[0].close()
            listener.close()
            hung_up.set()

        threading.Thread(target=hang_up, daemon=True).start()
        with connect(address_of(path)) as session:
            assert session.query("select 1") == [(1,)]
        assert hung_up.is_set()


# Many at once ------------------------------------------------------------------------------------


def test_eight_sessions_build_at_once(address: WarehouseAddress) -> None:
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(connect(address)) for _ in range(8)]
        for round_ in range(10):
            for number, session in enumerate(sessions):
                built = task(f"t{number}_{round_}", "select range as n from range(1000)")
                session.send({"op": "task", "task": task_to_json(built)})
            for session in sessions:
                outcome = Outcome.from_json(session.receive()["outcome"])
                assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1000)
        assert sessions[0].query("select count(*) from dagster_models.commits") == [(80,)]


def test_one_cancel_stops_one_session(address: WarehouseAddress, session: Session) -> None:
    with connect(address) as other:
        session.send({"op": "query", "sql": ENDLESS})
        other.send(
            {"op": "query", "sql": "select count(*) from range(30000000) where range % 7 = 3"}
        )
        session.cancel()
        assert "error" in session.receive()
        assert other.receive()["rows"] == [[4285714]]


def test_a_schema_that_cannot_be_made_is_an_outcome(session: Session) -> None:
    built = sql_task("t", "select 1")
    outcome = session.run(built)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert session.query("select 1") == [(1,)]


def test_new_schemas_do_not_conflict(address: WarehouseAddress) -> None:
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(connect(address)) for _ in range(8)]
        for number, session in enumerate(sessions):
            built = sql_task("t", "select 1", relation=Relation(f"s{number % 3}", f"t{number}"))
            session.send({"op": "task", "task": task_to_json(built)})
        for session in sessions:
            assert session.receive()["outcome"]["verdict"] == "committed"


# The client --------------------------------------------------------------------------------------


def test_the_client_is_light() -> None:
    code = (
        "import sys, dagster_models.processes.client.session\n"
        "heavy = {'duckdb', 'pyarrow', 'dagster', 'sqlglot', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    with python(code) as process:
        assert line_of(process) == "[]"


def test_a_closed_session_says_so(address: WarehouseAddress) -> None:
    session = connect(address)
    session.close()
    session.close()
    session.cancel()
    with pytest.raises(WarehouseError, match="connect again"):
        session.query("select 1")


def test_an_interrupted_request_closes_the_session(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: socket.socket) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(wire, "receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        session.query("select 1")
    assert session.closed, "its late answer must not be taken for the next one's"


def test_a_mistake_of_ours_is_an_answer_and_the_session_lives_on(session: Session) -> None:
    """A worker thread that died of it would leave the client waiting for good."""
    with pytest.raises(WarehouseError, match="InternalError"):
        session.request({"op": "task", "task": ["no", "mapping"]})
    assert session.query("select 1") == [(1,)]


def test_the_end_of_a_lost_session_is_awaited_before_its_record_is_read() -> None:
    """The lost session may be within its COMMIT: read too early, the record is not there yet."""
    ended: list[str] = []

    class Host:
        def published(self, session_id: str) -> None:
            assert session_id == "lost"

        def await_end(self, session_id: str, timeout_seconds: float) -> bool:
            ended.append(session_id)
            return True

    class Reader:
        def fence(self, name: str, timeout_seconds: float, relation: Relation) -> bool:
            return True

        def find_proofs(self, relation: Relation, attempt: AttemptId) -> list[Commit]:
            return [Commit(*attempt, "s.t", "", {})] if ended else []

    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = ClientConnection(Host(), ours)  # type: ignore[arg-type]
        asked = {
            "attempt": ["r", "s.t", 1],
            "relation": {"schema": "s", "name": "t"},
            "session": "lost",
            "wait_seconds": 1,
        }
        answer = operations.settle(connection, Reader(), asked, Stop())  # type: ignore[arg-type]
    assert answer["committed"]
    assert not answer["session_alive"]
