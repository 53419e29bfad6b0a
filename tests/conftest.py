"""Fixtures of warehouses, and the matrix of what each one was seen to do."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.machinery import ModuleSpec
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

import matrix
from alembic_once import read_revisions_once
from dagster_models.core.materializations import Materialization
from dagster_models.core.messages import Outcome
from dagster_models.core.tasks import Query
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from lives import Lives
from mariadb_server import MariaServer, start_mariadb, why_no_mariadb
from postgres_server import GIVEN, dsn_of_database, start_server
from rest_catalog import RestCatalogServer, start_rest_catalog, why_no_rest_catalog
from sail_server import SailServer, start_sail, why_no_sail
from served import served
from spark_server import SparkServer, why_no_spark
from systems import (
    EVERY,
    NAMES,
    NO_DUCKLAKE,
    SPARKS,
    VARIANTS,
    System,
    duckdb_system,
    ducklake_is_installed,
    ducklake_system,
    mariadb_system,
    postgres_system,
    server_of,
    session_of,
    spark_system,
)
from tasks import sql_task

# A worker of pytest-xdist is `python -c`. There pyspark takes the missing spec of the main module
# for doctests of its own, and ends the process. Of this name multiprocessing imports nothing.
main = sys.modules["__main__"]
if main.__spec__ is None and not hasattr(main, "__file__"):
    main.__spec__ = ModuleSpec("__main__", None)

read_revisions_once()

# What a script starts with `&` ignores Ctrl-C, and so would all that the tests start. Dagster does
# with SIGTERM what it does with Ctrl-C: a server that a test stops would go on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_matrix: dict[tuple[str, str], str] = {}


@pytest.fixture(scope="session")
def postgres_admin() -> Iterator[str]:
    """The connection string of a server for this test run, with the right to make databases."""
    given = os.environ.get(GIVEN)
    if given:
        yield given
        return
    server = start_server()
    yield server.dsn
    server.stop()


@pytest.fixture(scope="session")
def _postgres_database(postgres_admin: str) -> Iterator[str]:
    name = f"dagster_models_test_{os.getpid()}"
    with psycopg.connect(postgres_admin, autocommit=True) as admin:
        admin.execute(f'create database "{name}"'.encode())
    yield dsn_of_database(postgres_admin, name)
    with psycopg.connect(postgres_admin, autocommit=True) as admin:
        admin.execute(f'drop database "{name}" with (force)'.encode())


_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace
                WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
END $$
"""


def _emptied(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET lock_timeout = '20s'; SET client_min_messages = warning")
        connection.execute(_EMPTY)
    return dsn


@pytest.fixture
def postgres_dsn(_postgres_database: str) -> str:
    """The connection string of an empty database: the same one, emptied, as that is faster."""
    return _emptied(_postgres_database)


@pytest.fixture(scope="module")
def postgres_of_module(_postgres_database: str) -> str:
    """The connection string of a database that is empty before a module's first test."""
    return _emptied(_postgres_database)


@pytest.fixture
def admin(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of somebody else's."""
    with psycopg.connect(postgres_dsn, autocommit=True, application_name="somebody") as connection:
        yield connection


@pytest.fixture(scope="session")
def sail() -> Iterator[SailServer]:
    """A Spark Connect server for this test run. Each location has a session of its own there."""
    yield from served(why_no_sail(), start_sail)


@pytest.fixture(scope="session")
def _apache_spark() -> Iterator[SparkServer]:
    yield from served(why_no_spark(), SparkServer)


@pytest.fixture
def apache_spark(_apache_spark: SparkServer) -> SparkServer:
    """Spark's own server for this test run, without a relation of anybody's."""
    _apache_spark.empty()
    return _apache_spark


@pytest.fixture
def location(tmp_path: Path) -> str:
    """The folder of Spark's tables."""
    return str(tmp_path / "tables")


@pytest.fixture(scope="session")
def _rest_catalog_server() -> Iterator[RestCatalogServer]:
    yield from served(why_no_rest_catalog(), start_rest_catalog)


@pytest.fixture
def rest_catalog(_rest_catalog_server: RestCatalogServer) -> RestCatalogServer:
    """A catalog for this test run, without a table of anybody's."""
    _rest_catalog_server.empty()
    return _rest_catalog_server


@pytest.fixture(scope="session")
def _mariadb_server() -> Iterator[MariaServer]:
    yield from served(why_no_mariadb(), start_mariadb)


@pytest.fixture
def mariadb(_mariadb_server: MariaServer) -> MariaServer:
    """A server for this test run, without a database of anybody's."""
    _mariadb_server.empty()
    return _mariadb_server


@pytest.fixture
def system(request: pytest.FixtureRequest, tmp_path: Path) -> System:
    """Each warehouse in turn, or that of another package. A test of a feature that one lacks must
    fail there."""
    if request.param not in (*EVERY, *VARIANTS):
        made = import_module(f"{request.param}.{CONFORMANCE}").system(tmp_path)
    elif request.param == "duckdb":
        made = duckdb_system(str(tmp_path / "w.duckdb"))
    elif request.param == "ducklake":
        if not ducklake_is_installed():
            pytest.skip(NO_DUCKLAKE)
        made = ducklake_system(str(tmp_path), request.getfixturevalue("postgres_dsn"))
    elif (way := request.param.replace("spark", "delta")) in SPARKS:
        server, folder = server_of(request, way), request.getfixturevalue("location")
        made = spark_system(server.settings, folder, way)
    elif request.param == "mariadb":
        made = mariadb_system(request.getfixturevalue("mariadb").settings)
    else:
        made = postgres_system(request.getfixturevalue("postgres_dsn"))
    for mark in request.node.iter_markers("feature"):
        reason = made.capabilities.lacks.get(mark.args[0])
        if reason:
            request.node.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    return made


@pytest.fixture
def warehouse(system: System) -> Iterator[OpenWarehouse]:
    warehouse = system.open()
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: OpenWarehouse) -> Iterator[WarehouseSession]:
    with session_of(warehouse) as session:
        session.prepare(["s"])
        yield session


@pytest.fixture
def build(session: WarehouseSession) -> Callable[..., Outcome]:
    """Builds s.t, as a new attempt each time. ``full``: the query for a build in full; ``more``:
    other fields of the task."""
    attempts = count(1)

    def build(
        sql: str, how: Materialization, *, full: str = "", stop: Stop | None = None, **more: Any
    ) -> Outcome:
        task = replace(sql_task("s.t", sql), materialization=how, attempt=next(attempts), **more)
        return run(session, replace(task, content=Query(sql, full)), stop or Stop())

    return build


@pytest.fixture(scope="session")
def lives() -> Iterator[Lives]:
    lives = Lives()
    yield lives
    lives.close()


#: The modules that ask what every warehouse does: also Spark, and that of another package.
_SUITE = {
    *("test_conformance", "test_conformance_values", "test_conformance_seeds"),
    *("test_materialization", "test_checks"),
}
#: The modules whose tests are asked of DuckLake: its sessions are DuckDB's, so the others would
#: only show once more what DuckDB does.
_OF_DUCKLAKE = {
    *("test_conformance", "test_conformance_seeds", "test_conformance_values"),
    *("test_materialization", "test_warehouse_api", "test_leftovers"),
    *("test_snapshot", "test_functions", "test_incremental", "test_incremental_columns"),
    *("test_partitions", "test_exports"),
}

#: For the first test its server is started, and a statement takes half a second where others work.
_APACHE_SECONDS = 600

#: Nightly tests are the slow ones, and take several times as long on a machine that does more.
_NIGHTLY_SECONDS = 1200

_SAMPLE_OF_MARIADB = {"publish", "cancel", "error_line", "type_change"}

#: The module of another package whose ``system(folder)`` returns a System with an empty database.
CONFORMANCE = "conformance"
_OPTION = "--dagster-models-warehouse"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        _OPTION,
        metavar="PACKAGE",
        help="ask only the warehouse of this package, and all that"
        " every warehouse must do; see docs/warehouse_authors.md",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # Not for a module that has a fixture of its own with this name, nor a test that names some.
    named = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    own = hasattr(metafunc.module, "system") or "system" in named
    if "system" not in metafunc.fixturenames or own:
        return
    here = metafunc.module.__name__.rpartition(".")[2]
    features = any(metafunc.definition.iter_markers("feature")) and here in _SUITE
    every = features or any(metafunc.definition.iter_markers("every_warehouse"))
    package = metafunc.config.getoption(_OPTION)
    also = [name for mark in metafunc.definition.iter_markers("also_of") for name in mark.args]
    names = [package] if package else (*EVERY, *VARIANTS) if every else (*NAMES, *also)
    metafunc.parametrize("system", names, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among a million objects that stay: it took half of the collection."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With the option, keep the suite alone. Of DuckLake's tests keep those of its modules; each CI
    runs one of each feature, and of MariaDB one of these few."""
    package = config.getoption(_OPTION)
    if package:
        items[:] = [it for it in items if _system_of(it) == package and it.path.stem in _SUITE]
    kept, sampled = list[pytest.Item](), dict[str, set[str]]()
    for item in items:
        callspec = getattr(item, "callspec", None)
        parts = callspec.id.split("-") if callspec else []
        if "apache" in parts:
            item.add_marker(pytest.mark.nightly)
            item.add_marker(pytest.mark.timeout(_APACHE_SECONDS))
        if any(part in mark.args for mark in item.iter_markers("nightly_for") for part in parts):
            item.add_marker(pytest.mark.nightly)
        system = _system_of(item)
        features = {mark.args[0] for mark in item.iter_markers("feature")}
        if system == "ducklake" and item.path.stem not in _OF_DUCKLAKE and not features:
            continue
        if system in ("ducklake", "mariadb"):
            seen = sampled.setdefault(system, set())
            wanted = features - seen
            seen |= features
            if not (wanted & _SAMPLE_OF_MARIADB if system == "mariadb" else wanted):
                item.add_marker(pytest.mark.nightly)
        if item.get_closest_marker("nightly") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_NIGHTLY_SECONDS))
        kept.append(item)
    items[:] = _long_files_first(kept)


def _long_files_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests in their order, those of files with slow tests before the others: a worker that
    begins such a file when the others have nothing left makes all of them wait. (Without the option
    --no-loadscope-reorder, files with few tests are begun last, and these are the slow ones.)"""
    long = {it.path for it in items if it.get_closest_marker("slow")}
    return sorted(items, key=lambda it: it.path not in long)


def _system_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("system")) if callspec else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    callspec = getattr(item, "callspec", None)
    for mark in item.iter_markers("feature"):
        name = callspec.params.get("system") if callspec else None
        if name and report.when == "call":
            key = (mark.args[0], str(name))
            if report.failed:
                _matrix[key] = "FAILED"
            else:
                _matrix.setdefault(key, "no" if report.skipped else "yes")
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    _tell_reference_cases(terminalreporter)
    if not _matrix:
        return
    terminalreporter.section("what each warehouse was seen to do")
    names = list(dict.fromkeys([*EVERY, *VARIANTS, *(name for _, name in _matrix)]))
    for line in matrix.lines(_matrix, names):
        terminalreporter.write_line(line)


def _tell_reference_cases(terminalreporter: pytest.TerminalReporter) -> None:
    """How many of the cases of data/references an engine was asked about in this run."""
    cases = sys.modules.get("reference_cases")
    if cases is None or not cases.ran:
        return
    told = ", ".join(f"{len(titles)} by {engine}" for engine, titles in cases.ran.items())
    terminalreporter.section("cases of references that were run")
    terminalreporter.write_line(f"{told}, of {len(cases.CASES)}")
