"""Servers, databases and roles as others have set them up: TLS, few connections, read-only,
timeouts, search paths, encodings. Each works, or ends in an error that says whose setting it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from addresses import postgres_at
from dagster_models.compilation.tasks import TargetStep, schemas, task_for
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Key, Relation
from dagster_models.core.tasks import Task
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import WarehouseError
from dagster_models.execution.runners.events import Answered, NotStarted
from dagster_models.execution.runners.task_runners import TaskRunners
from dagster_models.processes.address import key_of
from dagster_models.processes.client import launch
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target
from gate import Gate, make_certificate
from on_postgres import backends, next_events, task, until
from project_cases import load
from running import make_project
from tasks import sql_task

pytestmark = pytest.mark.slow

PASSWORD = "p'w@:/ "


@pytest.fixture
def role(admin: psycopg.Connection) -> Iterator[str]:
    """A role that may build, and is no superuser. Tests give it settings."""
    name = f"builder_{os.getpid()}"
    sql = psycopg.sql.SQL("create role {} login password {}")
    admin.execute(sql.format(psycopg.sql.Identifier(name), PASSWORD))
    database = admin.info.dbname
    admin.execute(f'grant create on database "{database}" to {name}'.encode())
    yield name
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [name]
    )
    admin.execute(f"drop owned by {name}; drop role {name}".encode())


def address_of(dsn: str, **more: Any) -> WarehouseAddress:
    return postgres_at(dsn, **{"idle_seconds": 0.1, "connect_seconds": 5, **more})


def error_of(address: WarehouseAddress, one: Task) -> str:
    with connect(address) as session:
        outcome = session.run(one)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    return f"{outcome.error.title}: {outcome.error.message}"


# TLS ---------------------------------------------------------------------------------------------


def test_tls_with_a_certificate_that_is_checked(postgres_dsn: str, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs the openssl command")
    root, context = make_certificate(tmp_path, "IP:127.0.0.1")
    other, _ = make_certificate(tmp_path, "IP:127.0.0.2")
    account = urlsplit(postgres_dsn).netloc.rpartition("@")[0]
    secret = account.partition(":")[2]
    with contextlib.closing(Gate(100, postgres_dsn, context)) as gate:
        with connect(address_of(gate.dsn, sslmode="verify-full", sslrootcert=str(root))) as session:
            assert session.run(task("t", "select 1 as n")).error is None
        by_name = gate.dsn.replace("127.0.0.1", "localhost")
        wrong = {
            "certificate verify failed": {"sslrootcert": str(other)},
            "does not exist": {"sslrootcert": str(tmp_path / "nowhere.crt")},
            'does not match host name "localhost"': {"sslrootcert": str(root), "dsn": by_name},
        }
        for told, settings in wrong.items():
            more = {"dsn": gate.dsn, "sslmode": "verify-full", "connect_seconds": 60, **settings}
            bad = address_of(**more)
            with pytest.raises(WarehouseError) as caught:
                connect(bad, timeout_seconds=30)  # a second try would be too late
            error = caught.value
            assert (error.name, error.transient) == ("ConnectionFailed", False)
            assert told in error.message
            log = Path(launch._log_path(key_of(bad))).read_text()
            for text in (str(error), repr(error), repr(error.__cause__), log):
                assert secret not in text
                assert unquote(secret) not in text


# Limits of others --------------------------------------------------------------------------------


def test_fewer_connections_than_threads_are_shared(
    admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    address = address_of(postgres_dsn, user=role, password=PASSWORD, connect_seconds=0.2)
    with contextlib.closing(TaskRunners()) as runners:
        runners.sql.prepare(address, ["s"])
        admin.execute(f"alter role {role} connection limit 2".encode())
        steps = {f"t{n}" for n in range(8)}
        for step in steps:
            runners.sql.start(step, task(step, "select pg_sleep(0.3)::text as s"), address)
        done: dict[str, Any] = {}
        while len(done) < len(steps):
            done |= {event.step: event for event in next_events(runners)}
        assert {type(event) for event in done.values()} == {Answered}
        assert {event.outcome.verdict for event in done.values()} == {Verdict.COMMITTED}
    admin.execute(f"alter role {role} connection limit 0".encode())
    with contextlib.closing(TaskRunners()) as runners:  # none of ours could come free
        runners.sql.start("t", task("t", "select 1 as n"), address)
        (refused,) = next_events(runners)
        assert isinstance(refused, NotStarted)
        assert (refused.error.name, refused.error.transient) == ("TooManySessions", True)
        assert f'too many connections for role "{role}"' in refused.error.message


def test_a_server_that_only_reads_says_so(postgres_dsn: str) -> None:
    """The options of the dsn reach the server; with them it stands for a standby."""
    read_only = "?options=-c%20default_transaction_read_only%3Don%20-c%20work_mem%3D1234kB"
    told = error_of(address_of(postgres_dsn + read_only), task("t", "select 1 as n"))
    assert "cannot execute CREATE SCHEMA in a read-only transaction" in told
    assert "target_session_attrs=read-write" in told
    with connect(address_of(postgres_dsn + read_only)) as session:
        assert session.query("show work_mem") == [("1234kB",)]


def test_a_role_that_may_make_no_schema_is_told_what_to_do(
    admin: psycopg.Connection, role: str, postgres_dsn: str
) -> None:
    admin.execute(f'revoke create on database "{admin.info.dbname}" from {role}'.encode())
    told = error_of(
        address_of(postgres_dsn, user=role, password=PASSWORD), task("t", "select 1 as n")
    )
    assert told.startswith("InsufficientPrivilege: permission denied for database")
    assert "GRANT CREATE ON DATABASE" in told


def test_settings_of_the_role(admin: psycopg.Connection, role: str, postgres_dsn: str) -> None:
    """Ours go before lock_timeout; search_path changes no name; the others hold, and are named."""
    for setting in (
        "search_path = elsewhere, public",
        "lock_timeout = 1",
        "statement_timeout = '700ms'",
        "idle_in_transaction_session_timeout = '300ms'",
        "default_transaction_isolation = 'repeatable read'",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = on",
        "DateStyle = 'SQL, DMY'",
        "IntervalStyle = 'sql_standard'",
        "bytea_output = 'escape'",
        "extra_float_digits = -15",
        "TimeZone = 'Asia/Kathmandu'",
    ):
        admin.execute(f"alter role {role} set {setting}".encode())
    admin.execute(f"create schema elsewhere authorization {role}".encode())
    address = address_of(postgres_dsn, user=role, password=PASSWORD)
    with connect(address) as session:
        first = "select 'é' as t, date '2020-02-03' as d, 0.1::float8 as x, '\\x00ff'::bytea as b"
        assert session.run(task("t", first)).error is None
        assert session.run(task("v", "select t from s.t", view=True)).error is None
        again = session.run(task("t", f"{first}, timestamptz '2020-02-03 04:05Z' as z", run_id="2"))
        assert again.error is None
        (row,) = session.export("select *, interval '1 day -2 hours' as i from s.t").to_pylist()
        assert (row["t"], row["d"].isoformat(), row["x"]) == ("é", "2020-02-03", 0.1)
        assert (row["b"], row["z"].isoformat()) == (b"\x00\xff", "2020-02-03T04:05:00+00:00")
        assert (row["i"].days, row["i"].nanoseconds) == (1, -7_200_000_000_000)
        assert session.query("select t from s.v") == [("é",)]
        assert session.query("select count(*) from pg_tables where schemaname = 'elsewhere'") == [
            (0,)
        ]
    told = error_of(address, task("slow", "select pg_sleep(30)::text as s"))
    assert told.startswith("StatementTimeout: canceling statement due to statement timeout")
    assert "a setting of the server, the database or this role" in told
    with connect(address) as session:
        session.execute("begin")
        session.execute("select 1")
        until(lambda: not backends(admin, f"usename = '{role}'"))
        with pytest.raises(WarehouseError, match="idle-in-transaction timeout"):
            session.execute("select 2")


@pytest.mark.parametrize(
    "options",
    [
        "encoding 'LATIN1' locale 'C'",
        "encoding 'UTF8' locale_provider icu icu_locale 'und-u-ks-level2' locale 'C'",
    ],
)
def test_databases_of_other_encodings_and_collations(
    admin: psycopg.Connection, postgres_dsn: str, options: str
) -> None:
    name = f"odd_{os.getpid()}"
    try:
        admin.execute(f"create database {name} template template0 {options}".encode())
    except psycopg.errors.FeatureNotSupported as error:
        pytest.skip(str(error))  # the wheel's server has no ICU, Debian's has
    try:
        with connect(address_of(postgres_dsn, dbname=name)) as session:
            relation = Relation("schéma", "täble")
            for attempt, more in ((1, ""), (2, ""), (3, ", 1 as more")):
                text = f"select 'ünï' as \"côl\", 'a' < 'B' as b{more}"
                one = sql_task("s.t", text, attempt=attempt, relation=relation)
                assert session.run(one).error is None
            assert session.query('select "côl" from "schéma"."täble"') == [("ünï",)]
            exported = session.export('select "côl" from "schéma"."täble"')
            assert exported.to_pylist() == [{"côl": "ünï"}]
            assert session.load(exported, '"schéma"."loaded"') == 1
            if "LATIN1" in options:
                foreign = sql_task("s.t", "select '名' as n", attempt=4, relation=relation)
                outcome = session.run(foreign)
                assert outcome.error is not None
                assert 'has no equivalent in encoding "LATIN1"' in outcome.error.message
    finally:
        admin.execute(f"drop database {name} with (force)".encode())


def test_a_hostile_schema_prefix_is_only_a_name(postgres_dsn: str, tmp_path: Path) -> None:
    prefix = 'x"; drop schema public cascade; --ü $1 %s '
    project = make_project(
        tmp_path,
        {
            "models/a.sql": "select 1 as n",
            "models/b.sql": "select a.n from main.a join a as other on other.n = a.n",
        },
    )
    text = (project.root / "dagster_models.yaml").read_text()
    yaml = f"{{type: postgres, dsn: '${{DATABASE_URL}}', schema_prefix: '{prefix}'}}"
    (project.root / "dagster_models.yaml").write_text(
        text.replace("targets: {", f"targets: {{pg: {yaml}, ")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", postgres_dsn)
        loaded = load(project.root)
        target = usable_target(loaded, "pg")
    with connect(address_of(postgres_dsn)) as session:
        for name in ("a", "b"):
            binding = TargetStep(loaded, loaded.steps[Key("main", name)], target)
            session.prepare(schemas({name: binding}))
            assert session.run(task_for(binding, "r", 1)).error is None
        assert session.query("select nspname::text from pg_namespace where nspname ~ 'drop'") == [
            (f"{prefix}main",)
        ]
        assert session.query("select count(*) from pg_namespace where nspname = 'public'") == [(1,)]
