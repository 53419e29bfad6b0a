"""What is PostgreSQL's own: locks and who holds them, lost sessions, a killed server, passwords.

Real servers, really killed; what it shares with others is in test_conformance.py.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import psycopg
import pytest

from addresses import postgres_at
from dagster_models import WarehouseResource
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.core.tasks import Query, task_to_json
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError, WarehouseLost
from dagster_models.processes.client import session as sessions
from dagster_models.processes.client.session import Session, connect
from dagster_models.util import dsn as servers
from dagster_models.util import runtime_files
from dagster_models.warehouses.base import find_proof
from dagster_models.warehouses.postgres.session import connect as connect_here
from dagster_models.warehouses.postgres.target import POSTGRES
from on_postgres import backends, postgres_project, task, until
from postgres_server import PostgresServer, start_server
from systems import System, instrument, postgres_system, session_of
from tasks import sql_task

pytestmark = pytest.mark.slow


@pytest.fixture
def system(postgres_dsn: str) -> System:
    return postgres_system(postgres_dsn)


@pytest.fixture
def session(system: System) -> Iterator[Session]:
    with connect(system.address) as session:
        session.prepare(["s"])  # the process may be the last test's, and think that it is done
        yield session


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be killed."""
    server = start_server()
    yield server
    server.stop()


# Locks -------------------------------------------------------------------------------------------


def test_settings_that_protect_the_server_are_always_set(session: Session) -> None:
    rows = session.query(
        "select current_setting('client_connection_check_interval'),"
        " current_setting('lock_timeout'), current_setting('application_name')"
    )
    assert rows == [("500ms", "5s", f"dagster-models {session.session_id}")]


def test_who_holds_the_lock_is_told_and_worth_another_try(
    system: System, postgres_dsn: str, admin: psycopg.Connection
) -> None:
    address = system.address.with_settings(lock_timeout=0.2)
    with connect(address) as session:
        session.prepare(["s"])
        session.run(task("t", "select 'old' as n"))
        with admin.transaction():
            admin.execute("lock table s.t in share mode")
            outcome = session.run(task("t", "select 'new' as n"))
            pid = admin.info.backend_pid
        assert outcome.verdict is Verdict.ROLLED_BACK
        assert outcome.error is not None
        assert (outcome.error.name, outcome.error.transient) == ("LockNotAvailable", True)
        assert f"pid {pid} (user postgres, application somebody," in outcome.error.message
        assert "lock table s.t in share mode" in outcome.error.message
        assert session.query("select n from s.t") == [("old",)]
        assert session.run(task("t", "select 'new' as n", run_id="2")).error is None


def test_of_two_writers_the_second_one_replaces_the_first_ones_rows(
    system: System, admin: psycopg.Connection
) -> None:
    """Two processes: the lock within one warehouse process does not help. Without a lock in the
    server the second DELETE would not see what the first one put there."""
    warehouse = connect_here(system.settings)
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["s"])
        one.replace_table(Relation("s", "t"), Query("select 0 as n"))
        one.begin()
        one.replace_table(Relation("s", "t"), Query("select 1 as n"))
        other.begin()
        thread = threading.Thread(
            target=lambda: other.replace_table(Relation("s", "t"), Query("select 2 as n"))
        )
        thread.start()
        until(lambda: backends(admin, "wait_event_type = 'Lock'"))
        one.commit()
        thread.join()
        other.commit()
        assert one.query("select n from s.t")[1] == [(2,)]


def test_schemas_and_records_are_made_once_by_many(system: System, postgres_dsn: str) -> None:
    """Processes of several machines: CREATE ... IF NOT EXISTS alone fails in most of such races."""
    for round_ in range(5):
        warehouse = connect_here(system.settings)
        with contextlib.ExitStack() as stack:
            sessions = [stack.enter_context(session_of(warehouse)) for _ in range(6)]
            errors: list[BaseException] = []
            start = threading.Barrier(len(sessions))

            def prepare(session: Any, name: str, start: Any = start, errors: Any = errors) -> None:
                start.wait()
                try:
                    session.prepare([name])
                except BaseException as error:
                    errors.append(error)

            threads = [
                threading.Thread(target=prepare, args=(one, f"made_{round_}")) for one in sessions
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == []
            sessions[0].execute("drop schema dagster_models cascade")


def test_a_user_who_may_not_make_schemas_uses_those_that_are_there(
    system: System, admin: psycopg.Connection, postgres_dsn: str
) -> None:
    with connect(system.address) as session:
        session.prepare(["s"])
    role = f"builder_{os.getpid()}"
    admin.execute(f"create role {role} login password 'b'".encode())
    try:
        admin.execute(f"grant all on schema s, dagster_models to {role}".encode())
        admin.execute(f"grant all on dagster_models.commits to {role}".encode())
        settings = {"dsn": postgres_dsn, "user": role, "password": "b", "idle_seconds": 0.1}
        with connect(WarehouseAddress(POSTGRES, settings)) as session:
            assert session.run(task("t", "select 1 as n")).error is None
            refused = session.run(sql_task("x.t", "select 1"))
            assert refused.error is not None
            assert refused.error.name == "InsufficientPrivilege"
    finally:
        admin.execute(f"drop owned by {role}; drop role {role}".encode())


# Loss --------------------------------------------------------------------------------------------


def test_a_session_that_the_server_ends_is_lost_and_settled(
    system: System, session: Session, admin: psycopg.Connection
) -> None:
    session.run(task("t", "select 'old' as n"))
    with connect(system.address) as other:
        session.send({"op": "task", "task": task_to_json(task("t", system.endless, run_id="k"))})
        until(lambda: backends(admin, "state = 'active' and query like '%CREATE%'"))
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s",
            [f"dagster-models {session.session_id}"],
        )
        with pytest.raises(WarehouseLost, match="the server ended the session"):
            session.receive()
        assert session.closed
        assert not other.settle(task("t", "", run_id="k"), session.session_id)
        assert other.settle(task("t", ""), session.session_id)
        assert other.query("select n from s.t") == [("old",)], "the other session lives on"


def test_a_session_lost_in_its_commit_is_settled_by_the_record(system: System) -> None:
    """The server commits, and its answer never comes."""
    from dagster_models.processes.server.attempt import Stop, run

    warehouse = connect_here(system.settings)
    with session_of(warehouse) as one, session_of(warehouse) as other:
        one.prepare(["s"])

        def cut() -> None:
            one._connection.close()  # type: ignore[attr-defined]
            raise WarehouseLost(ErrorKind.LOST, "the wire broke")

        built = task("t", "select 1 as n")
        outcome = run(instrument(one, after_commit=cut), built, Stop())
        assert outcome.verdict is Verdict.UNKNOWN
        assert other.fence("nobody", 1)
        assert find_proof(other, built.relation, built.id) is not None


def test_a_killed_warehouse_process_leaves_no_query_behind(
    system: System, admin: psycopg.Connection
) -> None:
    with connect(system.address) as session:
        session.prepare(["s"])
        session.run(task("t", "select 'old' as n"))
        session.send({"op": "task", "task": task_to_json(task("t", system.endless, run_id="k"))})
        until(lambda: backends(admin, "state = 'active' and query like '%CREATE%'"))
        os.kill(session.server_pid, signal.SIGKILL)
        with pytest.raises(WarehouseLost):
            session.receive()
        lost = session.session_id
    with connect(system.address) as session:
        assert session.settle(task("t", "", run_id="k"), lost) is False
        assert not backends(admin, f"application_name = 'dagster-models {lost}'"), (
            "settled while its backend could still commit"
        )
        assert session.query("select n from s.t") == [("old",)]


def test_a_server_that_is_slow_costs_no_other_session_its_warehouse_process(
    system: System, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new session may take as long as the target's settings allow: the others work meanwhile."""
    given, settle = list[float | None](), Session.settle

    def connect_(address: WarehouseAddress, timeout_seconds: float | None = None) -> Session:
        given.append(timeout_seconds)
        return connect(address, timeout_seconds)

    def settle_(session: Session, task: Any, session_id: str, wait_seconds: float) -> bool:
        given.append(wait_seconds)
        return settle(session, task, session_id, wait_seconds)

    session.run(task("t", "select 'old' as n"))
    lost = connect(system.address)
    lost.close()
    monkeypatch.setattr(sessions, "connect", connect_)
    monkeypatch.setattr(Session, "settle", settle_)
    assert sessions.settle(system.address, task("t", ""), lost.identity, 5) is True
    assert given == [None, 5], "each wait in full"
    assert session.query("select n from s.t") == [("old",)]


def test_a_session_is_gone_when_its_backend_is(system: System, admin: psycopg.Connection) -> None:
    """It may commit until then, so nothing is settled before; one that stays is ended."""
    warehouse = connect_here(system.settings)
    lost = warehouse.session("1-lost")
    with session_of(warehouse) as other:
        assert not other.fence("1-lost", 0.1)
        assert other.fence("1-lost", 10)
        assert not backends(admin, "application_name like '%1-lost'")
        with pytest.raises(WarehouseLost):
            lost.query("select 1")


def test_nothing_is_settled_while_its_backend_could_commit(
    session: Session, postgres_dsn: str
) -> None:
    """A commit record that is written and not committed: to read it is no proof of anything."""
    name = "dagster-models 1-lost"
    with contextlib.closing(psycopg.connect(postgres_dsn, application_name=name)) as lost:
        lost.execute(
            "insert into dagster_models.commits (run_id, step, attempt) values ('k', 's.t', 1)"
        )
        assert not session.settle(task("t", "", run_id="k"), "1-lost")
        with pytest.raises(psycopg.OperationalError):
            lost.commit()
    assert session.query("select count(*) from dagster_models.commits") == [(0,)]


def test_an_env_var_of_dagster_reaches_the_server_and_no_setting(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_DSN", postgres_dsn)
    settings = {"dsn": dg.EnvVar("MY_DSN"), "idle_seconds": 0.1}
    seen = []

    @dg.asset
    def asked(warehouse: WarehouseResource) -> None:
        seen.append(warehouse.settings)
        with warehouse.connect() as connection:
            seen.append(connection.sql("select 1 as n").fetchall())

    resource = WarehouseResource(type="postgres", settings=settings)
    assert dg.materialize([asked], resources={"warehouse": resource}).success
    assert seen == [{"dsn": "${MY_DSN}", "idle_seconds": 0.1}, [(1,)]]


def test_an_idle_session_outlives_a_restart_of_the_server(server: PostgresServer) -> None:
    address = postgres_at(server.dsn, idle_seconds=0.5)
    with connect(address) as session:
        assert session.run(task("t", "select 1 as n")).error is None
        server.kill()
        server.start()
        assert session.run(task("t", "select 2 as n", run_id="2")).error is None
        assert session.query("select n from s.t") == [(2,)]
    with connect(address) as session:  # this one has settings of its user's: it must not go on
        session.execute("create temporary table mine as select 1 as n")
        server.kill()
        server.start()
        with pytest.raises(WarehouseLost):  # a session that connects anew does so here
            session.begin()


def test_a_server_that_is_away_is_waited_for_and_told(server: PostgresServer) -> None:
    settings = {"dsn": server.dsn, "idle_seconds": 0.5, "connect_seconds": 1}
    server.kill()
    with pytest.raises(WarehouseError) as caught:
        connect(WarehouseAddress(POSTGRES, settings))
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert caught.value.transient
    assert f"127.0.0.1:{server.port}" in caught.value.message
    starting = threading.Timer(0.5, server.start)
    starting.start()
    with connect(postgres_at(**{**settings, "connect_seconds": 15})) as session:
        assert session.query("select 1") == [(1,)]
    starting.join()


#: Two of them wait for a lock that the test holds: so some are in flight for certain.
MODELS = {f"models/t{n}.sql": f"select {n} as n, pg_sleep(0.1)::text as s" for n in range(30)} | {
    **dict.fromkeys(
        ("models/t10.sql", "models/t11.sql"), "select 1 as n, pg_advisory_lock(12)::text as s"
    ),
    "models/last.sql": "select count(*) as n from "
    + ", ".join(f"(select n from t{n}) as a{n}" for n in range(30)),
}


def test_a_run_whose_server_is_killed_tells_what_is_there(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 models; the oracle is what the server holds afterwards."""
    monkeypatch.setenv("DATABASE_URL", server.dsn)
    project = postgres_project(tmp_path, MODELS)
    holder = psycopg.connect(server.dsn)
    holder.execute("select pg_advisory_lock(12)")
    process = project.start()

    def built() -> int:
        with psycopg.connect(server.dsn) as connection:
            rows = connection.execute("select count(*) from pg_tables where schemaname = 'main'")
            return int(rows.fetchall()[0][0])

    until(lambda: built() >= 6)
    server.kill()
    holder.close()
    server.start()
    told = project.report(*await_end(process))
    states = told.states()
    assert len(states) == 31
    assert told.code != 0
    with psycopg.connect(server.dsn) as connection:
        tables = {
            name
            for (name,) in connection.execute(
                "select 'main.' || tablename from pg_tables where schemaname = 'main'"
            )
        }
        records = {
            step
            for (step,) in connection.execute("select distinct step from dagster_models.commits")
        }
    succeeded = {step for step, state in states.items() if state == "succeeded"}
    print({state: list(states.values()).count(state) for state in sorted(set(states.values()))})
    assert succeeded == tables == records
    failed = {step for step, state in states.items() if state == "failed"}
    assert {"main.t10", "main.t11"} <= failed
    assert set(states.values()) == {"succeeded", "failed", "skipped"}
    assert len(succeeded) > 6, "the steps that follow connect anew"


def test_a_step_of_which_nobody_can_tell_is_not_tried_again(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stays away, and with it the commit record: the first attempt may be published."""
    monkeypatch.setenv("DATABASE_URL", server.dsn)
    header = "/* @model\nretries: 3\n*/\n"
    files = {
        "models/t.sql": f"{header}select pg_sleep(600)::text as s",
        "models/u.sql": "select s from t",
    }
    project = postgres_project(tmp_path, files, ", connect_seconds: 1")
    process = project.start()

    def sleeps() -> int:
        with psycopg.connect(server.dsn) as connection:
            sql = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
            return int(connection.execute(sql).fetchall()[0][0])

    until(sleeps)
    server.kill()
    told = project.report(*await_end(process))
    assert told.states() == {"main.t": "failed", "main.u": "skipped"}
    assert told.journal is not None
    assert [step.attempt for step in told.journal.steps if step.step == "main.t"] == [1]
    assert "its commit record could not be read" in told.stdout


def await_end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=90)
    return process.returncode, stdout, stderr


# Passwords ---------------------------------------------------------------------------------------

SECRET = "pa$$w0rd'&@:/ ü"


@pytest.fixture
def secret_dsn(admin: psycopg.Connection, postgres_dsn: str) -> Iterator[str]:
    role = f"secretive_{os.getpid()}"
    admin.execute(
        psycopg.sql.SQL("create role {} login superuser password {}").format(
            psycopg.sql.Identifier(role), SECRET
        )
    )
    url = urlsplit(postgres_dsn)
    account = f"{role}:{servers_quote(SECRET)}"
    yield url._replace(netloc=f"{account}@{url.netloc.rpartition('@')[2]}").geturl()
    for pid in backends(admin, f"usename = '{role}'"):
        admin.execute("select pg_terminate_backend(%s)", [pid])
    admin.execute(f"drop owned by {role}; drop role {role}".encode())


def servers_quote(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def leaks(text: str) -> bool:
    return any(form in text for form in (SECRET, servers_quote(SECRET), repr(SECRET)[1:-1]))


def command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


def test_a_password_is_nowhere_but_in_the_environment(
    secret_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", secret_dsn)
    files = {
        "models/a.sql": "select 1 as n",
        "models/wrong.sql": "select 1 / (n - 1) as n from a",
        "models/slow.sql": "/* @model\ntimeout: 1s */\nselect pg_sleep(600)::text as s",
        "models/b.py": '"""\n@model\n"""\ndef model(warehouse):\n    secret = 1 / 0\n',
        "models/c.py": '"""\n@model\n"""\nfrom pathlib import Path\nfrom time import sleep\n'
        "def model(warehouse):\n    rows = warehouse.sql('select n from a').df()\n"
        "    Path('waiting').touch()\n"
        "    while not Path('go').exists():\n        sleep(0.01)\n    return rows\n",
    }
    project = postgres_project(tmp_path, files)
    process = project.start()
    try:
        until(lambda: (project.root / "waiting").exists())
    except AssertionError:
        process.kill()
        print(*process.communicate(timeout=20))
        raise
    listed = command_lines()
    assert "dagster_models.processes.server" in listed
    assert "dagster_models.processes.worker" in listed
    assert not leaks(listed)
    (project.root / "go").touch()
    stdout, stderr = process.communicate(timeout=60)
    told = project.report(process.returncode, stdout, stderr)
    assert told.states()["main.c"] == "succeeded"
    assert told.states()["main.wrong"] == "failed"
    assert told.states()["main.slow"] == "failed"
    assert "its timeout passed; it was canceled and rolled back" in stdout
    assert not leaks(stdout + stderr)
    checked = 0
    runtime = Path(runtime_files.runtime_folder())
    for path in [*tmp_path.rglob("*"), *runtime.glob("postgres-*")]:
        if path.is_file():
            checked += 1
            assert not leaks(path.read_bytes().decode(errors="replace")), path
    assert checked > 10


@pytest.mark.parametrize(
    "settings",
    [
        {"dsn": "postgresql://me:s3cr3t@127.0.0.1:1/db"},
        {"dsn": "postgresql://me:s3cr3t@[::1/db"},
        {"dsn": "host=127.0.0.1 port=1 password=s3cr3t user"},
        {"dsn": "postgresql://me:s3cr3t@127.0.0.1:1/db?nonsense=1"},
        {"host": "127.0.0.1", "port": 1, "user": "me", "password": "s3cr3t"},
        {"host": "127.0.0.1", "port": 1, "password": "s3cr3t", "sslmode": "s3cr3t"},
    ],
)
def test_an_error_of_connecting_has_no_password(settings: dict[str, Any]) -> None:
    address = WarehouseAddress(POSTGRES, {**settings, "connect_seconds": 0.1})
    with pytest.raises(WarehouseError) as caught:
        connect(address)
    assert "s3cr3t" not in f"{caught.value}{caught.value!r}{caught.value.__cause__!r}"


def test_a_wrong_password_is_told_at_once(postgres_dsn: str) -> None:
    started = time.monotonic()
    settings = {"dsn": postgres_dsn, "password": "wr0ng", "connect_seconds": 30}
    with pytest.raises(WarehouseError, match="authentication failed") as caught:
        connect(WarehouseAddress(POSTGRES, settings), timeout_seconds=40)
    assert time.monotonic() - started < 25
    assert not caught.value.transient


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(WarehouseError, match="NO_SUCH_VARIABLE is not set"):
        connect(postgres_at("${NO_SUCH_VARIABLE}"))


def test_settings_reach_libpq(tmp_path: Path) -> None:
    settings = {
        "dsn": "postgresql://u%40x:p%2Fw@db1:1,db2:2/name%20d?sslmode=verify-full&options=-c%20a%3Db",
        "sslrootcert": "/ca.pem",
    }
    assert servers.parameters(settings, {}) == {
        "user": "u@x",
        "password": "p/w",
        "host": "db1,db2",
        "port": "1,2",
        "dbname": "name d",
        "sslmode": "verify-full",
        "options": "-c a=b",
        "sslrootcert": "/ca.pem",
    }
    assert servers.parameters({"dsn": r"host=h password='a\'b c' dbname = d"}, {}) == {
        "host": "h",
        "password": "a'b c",
        "dbname": "d",
    }
    by_libpq = psycopg.conninfo.conninfo_to_dict(settings["dsn"])
    ours = servers.dsn_parameters(settings["dsn"])
    assert {key: str(value) for key, value in by_libpq.items()} == ours
