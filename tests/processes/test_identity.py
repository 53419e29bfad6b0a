"""Where and as whom a warehouse is reached, and what a session has of its own: each client gets
what it would have alone, also beside others. Clients of other environments are real processes.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent import futures
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from addresses import duckdb_at, postgres_at
from dagster_models.core.messages import Verdict
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.address import key_of
from dagster_models.processes.client.session import Session, connect
from dagster_models.util import runtime_files
from dagster_models.warehouses.postgres.target import POSTGRES
from worker_driver import Driver

ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def with_(**variables: str) -> dict[str, str]:
    return {**ENVIRON, **variables}


# The key -----------------------------------------------------------------------------------------

URL = "postgresql://ada@db.example:5433/sales"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({}, {"PGPASSWORD": "x"}),
        ({"PGPASSWORD": "x"}, {"PGPASSWORD": "y"}),
        ({"PGOPTIONS": "-c role=a"}, {"PGOPTIONS": "-c role=b"}),
        ({"PGSERVICE": "a"}, {"PGSERVICE": "b"}),
        ({"PGPASSFILE": "/a"}, {"PGPASSFILE": "/b"}),
        ({"PGHOSTADDR": "10.0.0.1"}, {"PGHOSTADDR": "10.0.0.2"}),
        ({"PGTARGETSESSIONATTRS": "any"}, {"PGTARGETSESSIONATTRS": "read-write"}),
        ({"PGTZ": "UTC"}, {"PGTZ": "Asia/Tokyo"}),
        ({"HOME": "/home/a"}, {"HOME": "/home/b"}),
        ({"KRB5CCNAME": "/a"}, {"KRB5CCNAME": "/b"}),
    ],
)
def test_another_place_or_account_is_another_warehouse(
    one: dict[str, str], two: dict[str, str]
) -> None:
    address = postgres_at(URL)
    assert key_of(address, with_(**one)) == key_of(address, with_(**one))
    assert key_of(address, with_(**one)) != key_of(address, with_(**two))


def test_settings_of_a_place_count_however_they_are_written() -> None:
    first = postgres_at(URL)
    parts = {"host": "db.example", "port": 5433, "dbname": "sales", "user": "ada"}
    for same in (
        WarehouseAddress(POSTGRES, parts),
        postgres_at("port=5433 host=db.example user='ada' dbname=sales"),
        postgres_at("postgresql://db.example/sales", port=5433, user="ada"),
        postgres_at("${A_URL}"),
        first.with_settings(lock_timeout=1, connect_seconds=2, idle_seconds=3),
        replace(first, folder="/project"),
    ):
        assert key_of(same, with_(A_URL=URL)) == key_of(first, with_(A_URL=URL))
    # What is given goes before the environment.
    assert key_of(first, with_(PGHOST="other", PGUSER="bob")) == key_of(first, ENVIRON)
    by_environment = with_(PGHOST="db.example", PGPORT="5433", PGDATABASE="sales", PGUSER="ada")
    assert key_of(WarehouseAddress(POSTGRES, {}), by_environment) == key_of(first, ENVIRON)
    for other in (
        postgres_at(URL, user="bob"),
        postgres_at(URL, sslmode="require"),
        postgres_at(f"{URL}?options=-c%20role%3Dbob"),
        postgres_at(URL, password="${A_PASSWORD}"),
    ):
        assert key_of(other, with_(A_PASSWORD="x")) != key_of(first, with_(A_PASSWORD="x"))


def test_a_key_can_be_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in messages and logs: neither the password nor a digest to try passwords on."""
    address = postgres_at("postgresql://ada:s3cr3t@db/sales")
    key = os.path.basename(key_of(address))
    assert key.startswith("postgres-ada@db-sales-")
    assert "s3cr3t" not in key
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    elsewhere = key_of(address)
    assert elsewhere.startswith(str(tmp_path)), "another user's secret gives another digest"
    assert os.path.basename(elsewhere) != key
    secret = Path(elsewhere).parent / "secret"
    assert (secret.stat().st_mode & 0o777, len(secret.read_bytes())) == (0o600, 32)


def test_a_database_file_is_the_same_whoever_opens_it(tmp_path: Path) -> None:
    address = duckdb_at(tmp_path / "w.duckdb")
    (tmp_path / "link").symlink_to(tmp_path / "w.duckdb")
    same = with_(TZ="Asia/Tokyo", HOME="/elsewhere", DB=str(tmp_path))
    for other in (
        duckdb_at(tmp_path / "link", memory_limit="1GB"),
        duckdb_at("${DB}/w.duckdb"),
        replace(address, folder="/project"),
    ):
        assert key_of(other, same) == key_of(address, ENVIRON) == str(tmp_path / "w.duckdb")


# PostgreSQL --------------------------------------------------------------------------------------


def named(dsn: str, **settings: Any) -> WarehouseAddress:
    """The server of the dsn by its address alone: the rest comes from the environment."""
    url = urlsplit(dsn)
    given = {"host": url.hostname, "port": url.port, "idle_seconds": 0.1, "connect_seconds": 5}
    return WarehouseAddress(POSTGRES, {**given, **settings})


def account_of(dsn: str) -> dict[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return with_(
        PGUSER=str(parts["user"]),
        PGPASSWORD=str(parts["password"]),
        PGDATABASE=str(parts["dbname"]),
    )


@pytest.fixture
def role(admin: psycopg.Connection) -> Iterator[str]:
    name = f"rotated_{os.getpid()}"
    admin.execute(f"create role {name} login password 'first'".encode())
    yield name
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [name]
    )
    admin.execute(f"drop owned by {name}; drop role {name}".encode())


@pytest.mark.slow
def test_each_environment_reaches_its_own_database(postgres_dsn: str, role: str) -> None:
    """Also while another one has sessions open; with its own user and options."""
    address, first = named(postgres_dsn), account_of(postgres_dsn)
    options = "-c statement_timeout=12345"
    others = {
        "template1": {**first, "PGDATABASE": "template1"},
        role: {**first, "PGUSER": role, "PGPASSWORD": "first"},
        "12345ms": {**first, "PGOPTIONS": options},
    }
    query = "select current_database()::text, current_user::text, current_setting('%s')"
    query %= "statement_timeout"
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(connect(address, environ=first))
        before = session.query(query)
        for sign, environ in others.items():
            other = stack.enter_context(connect(address, environ=environ))
            assert sign in other.query(query)[0]
            assert sign not in before[0]
        assert session.query(query) == before


@pytest.mark.slow
def test_a_rotated_password_is_that_of_the_next_session(
    postgres_dsn: str, admin: psycopg.Connection, role: str
) -> None:
    url = urlsplit(postgres_dsn)
    address = postgres_at("${ROTATED_URL}", idle_seconds=0.1, connect_seconds=5)

    def environ(password: str) -> dict[str, str]:
        place = f"{url.hostname}:{url.port}{url.path}"
        return with_(ROTATED_URL=f"postgresql://{role}:{quote(password)}@{place}")

    with connect(address, environ=environ("first")) as session:
        with pytest.raises(WarehouseError, match="authentication failed"):
            connect(address, environ=environ("wrong"))
        admin.execute(f"alter role {role} password 'second'".encode())
        with connect(address, environ=environ("second")) as other:
            assert other.query("select current_user::text") == [(role,)]
        with pytest.raises(WarehouseError, match="authentication failed"):
            connect(address, environ=environ("first"))
        assert session.query("select current_user::text") == [(role,)]  # open since before


@pytest.mark.slow
def test_a_session_has_its_own_lock_timeout(postgres_dsn: str) -> None:
    address = postgres_at(postgres_dsn, idle_seconds=0.1)
    with (
        connect(address.with_settings(lock_timeout=1.5)) as one,
        connect(
            address.with_settings(lock_timeout="${PATIENCE}"), None, with_(PATIENCE="7")
        ) as two,
        connect(address) as three,
    ):
        assert one.server_pid == three.server_pid
        found = [session.query("show lock_timeout")[0][0] for session in (one, two, three)]
    assert found == ["1500ms", "7s", "30s"]


# DuckDB ------------------------------------------------------------------------------------------

ALONE = """
import duckdb, json, sys
cursor = duckdb.connect()
print(json.dumps([str(value) for value in cursor.execute(sys.argv[1]).fetchone()]))
"""
ASKED = (
    "select current_setting('TimeZone'), current_setting('Calendar'),"
    " cast(timestamptz '2024-01-01 03:00:00+00' as date),"
    " timestamptz '2024-07-01 12:00:00+00'::varchar, strftime(to_timestamp(0), '%c %Z')"
)


def alone(environ: Mapping[str, str]) -> list[str]:
    """What DuckDB answers in a process of its own."""
    return _alone(tuple(sorted(environ.items())))


@functools.cache  # several cases ask the same, each of a process
def _alone(environ: tuple[tuple[str, str], ...]) -> list[str]:
    command = [sys.executable, "-c", ALONE, ASKED]
    done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("first", ["UTC", "Pacific/Apia", ""])
def test_a_session_has_the_time_zone_and_calendar_of_its_client(tmp_path: Path, first: str) -> None:
    address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=0.1)
    unset = {name: value for name, value in ENVIRON.items() if name not in ("TZ", "LC_ALL")}
    of_first = {**unset, "TZ": first} if first else unset
    with connect(address, environ=of_first) as session:
        for variables in (
            {"TZ": "Asia/Kathmandu"},
            {"TZ": ":America/St_Johns"},
            {"TZ": "EST5EDT,M3.2.0,M11.1.0"},
            {"TZ": "<+03>-3"},
            {"TZ": "/usr/share/zoneinfo/Europe/Lisbon"},
            {"TZ": ""},
            {"LC_ALL": "th_TH.UTF-8"},
            {"TZ": "Asia/Tehran", "LANG": "fa_IR.UTF-8"},
            {},
        ):
            environ = {**unset, **variables}
            with connect(address, environ=environ) as other:
                assert other.server_pid == session.server_pid
                assert list(map(str, other.query(ASKED)[0])) == alone(environ), variables
        assert list(map(str, session.query(ASKED)[0])) == alone(of_first)


@pytest.mark.slow
def test_a_tilde_is_the_home_of_the_client(tmp_path: Path) -> None:
    address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=0.1)
    (tmp_path / "here.csv").write_text("n\n7\n")
    with connect(address), connect(address, environ=with_(HOME=str(tmp_path))) as other:
        assert other.query("from '~/here.csv'") == [(7,)]


@pytest.mark.slow
def test_what_all_sessions_of_a_file_share_cannot_differ_at_once(tmp_path: Path) -> None:
    address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=30)
    one = address.with_settings(memory_limit="640MB")
    with connect(one) as session:
        pid = session.server_pid
        with connect(address.with_settings(memory_limit="640 mb")) as same:
            assert same.server_pid == pid
        for other, told in (
            (address.with_settings(memory_limit="${LIMIT}"), "is 640MB there and 1280MB here"),
            (address, "memory_limit is 640MB there and not set here"),
            (one.with_settings(threads=1), "threads is not set there and 1 here"),
        ):
            with pytest.raises(WarehouseError) as caught:
                connect(other, environ=with_(LIMIT="1280MB"))
            assert (caught.value.kind, caught.value.name) == (ErrorKind.IN_USE, "SettingsDiffer")
            assert told in caught.value.message
            assert f"{session.path} is open with other settings" in caught.value.message
            assert f"process {pid} (sessions: 1)" in caught.value.message
        assert session.query("select 1") == [(1,)]
    with connect(address.with_settings(memory_limit="1280MB")) as session:
        assert session.server_pid == pid, "the process was idle: it opens the file anew"
        (limit,) = session.query("select current_setting('memory_limit')")[0]
    assert limit == "1.1 GiB"


@pytest.mark.slow
def test_of_clients_that_come_at_once_with_other_settings_one_kind_is_let_in(
    tmp_path: Path,
) -> None:
    address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=0.1)
    limits = ["512MB", "768MB"] * 4

    def attempt(limit: str) -> Session | str:
        try:
            return connect(address.with_settings(memory_limit=limit))
        except WarehouseError as error:
            return error.name

    with futures.ThreadPoolExecutor(len(limits)) as pool:
        found = list(pool.map(attempt, limits))
    sessions = [session for session in found if isinstance(session, Session)]
    assert {name for name in found if isinstance(name, str)} == {"SettingsDiffer"}
    assert len(sessions) == 4
    asked = "select current_setting('memory_limit')"
    assert len({session.query(asked)[0][0] for session in sessions}) == 1
    for session in sessions:
        session.close()


# A Python step -----------------------------------------------------------------------------------

MOVES = """
import os, time
def model(warehouse):
    os.environ.update(PGDATABASE="template1", PGOPTIONS="-c nonsense", TZ="Asia/Tokyo", HOME="/")
    time.tzset()
    return [dict(place=warehouse.sql({query!r}).fetchall()[0][0])]
"""


@pytest.mark.slow
@pytest.mark.parametrize("warehouse", ["duckdb", "postgres"])
def test_user_code_does_not_move_its_warehouse(
    warehouse: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if warehouse == "duckdb":
        address = duckdb_at(tmp_path / "w.duckdb", idle_seconds=1)
        query = "select current_setting('TimeZone') as place"
    else:
        dsn = request.getfixturevalue("postgres_dsn")
        for name, value in account_of(dsn).items():
            monkeypatch.setenv(name, value)
        address = named(dsn, idle_seconds=1)
        query = "select current_database()::text as place"
    with connect(address) as session:
        session.prepare(["main"])
        (expected,) = session.query(query)
        driver = Driver(tmp_path, address)
        with contextlib.closing(driver):
            outcome = driver.run("python", MOVES.format(query=query))
            assert outcome.verdict is Verdict.COMMITTED, outcome.error
        assert session.query("select place from main.built") == [expected]


# Passwords ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("secret", ["a#b?c", "x+y", "50%25", "=&;'", "p w@/:"])
def test_a_password_works_as_in_psql(
    postgres_dsn: str, admin: psycopg.Connection, role: str, secret: str
) -> None:
    """In the URL, in its parameters and as key=value: encoded where libpq asks for it."""
    sql = psycopg.sql.SQL("alter role {} password {}")
    admin.execute(sql.format(psycopg.sql.Identifier(role), secret))
    url = urlsplit(postgres_dsn)
    place = f"{url.hostname}:{url.port}{url.path}"
    encoded = quote(secret, safe="+#?;'")
    pairs = psycopg.conninfo.make_conninfo(postgres_dsn, user=role, password=secret)
    for dsn in (
        f"postgresql://{role}:{encoded}@{place}",
        f"postgresql://{role}@{place}?password={encoded}",
        pairs,
    ):
        psycopg.connect(dsn).close()
        with connect(postgres_at(dsn, idle_seconds=0.1, connect_seconds=5)) as session:
            assert session.query("select current_user::text") == [(role,)]


@pytest.mark.slow
@pytest.mark.parametrize("written", ["S3KR/pw", "pa@S3KR", "8/S3KR", "S3KR%", "7?x=/S3KR"])
def test_a_password_that_is_not_encoded_stands_nowhere(written: str) -> None:
    address = postgres_at(f"postgresql://me:{written}@127.0.0.1:1/sales", connect_seconds=0.1)
    with pytest.raises(WarehouseError, match="dsn: the URL has") as caught:
        connect(address)
    assert "S3KR" not in f"{caught.value!r}{address!r}"
    runtime = Path(runtime_files.runtime_folder())
    for path in runtime.glob("*.log"):
        assert "S3KR" not in path.read_text(errors="replace")


@pytest.mark.slow
def test_a_driver_that_is_not_installed_is_named_with_its_extra(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError(\"No module named 'psycopg'\")")
    with pytest.raises(WarehouseError) as caught:
        connect(postgres_at(URL), environ=with_(PYTHONPATH=str(tmp_path)))
    assert "No module named 'psycopg'" in caught.value.message
    assert "pip install 'dagster-models[postgres]'" in caught.value.message
