"""The warehouses under test: the same questions to each, in its own words where it needs some."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import rest_catalog
from connect_server import ConnectServer
from dagster_models.core.materializations import Materialization, Replace, View
from dagster_models.core.model import Relation
from dagster_models.core.target_types import own_types, target_type
from dagster_models.core.tasks import BuildTask, Content, Query
from dagster_models.core.warehouse_address import WarehouseAddress
from dagster_models.processes.server.commits import commits_of
from dagster_models.warehouses.base import Capabilities, OpenWarehouse, Staged, WarehouseSession
from dagster_models.warehouses.ducklake import extensions
from dagster_models.warehouses.materializations import table
from dagster_models.warehouses.transactional import TransactionalSession
from postgres_server import start_server

EVERY = tuple(own_types())

#: By hand: all tests of Iceberg tables ask a REST catalog.
REST = os.environ.get("DAGSTER_MODELS_TEST_ICEBERG_CATALOG") == "rest"

#: What is a warehouse of one of these types in another way: Iceberg tables on Spark, and Delta
#: tables on Apache Spark's own server.
VARIANTS = ("iceberg", "apache")
#: Spark in each way; "apache" is nightly.
SPARKS = ("delta", *VARIANTS)
#: What only some servers of a type have, so that its capabilities do not promise it.
MORE = {"apache": ("runtime_error_line",)}

#: Those that are asked everything. The others are asked what the door in warehouses.base is about:
#: the tests of a feature, and those with the mark ``every_warehouse``.
NAMES = tuple(name for name in EVERY if name not in ("spark", "mariadb"))

T = Relation("s", "t")

_ATTEMPTS = count(1)

NO_DUCKLAKE = "DuckDB's extension ducklake is not installed for this version of DuckDB"


def ducklake_is_installed() -> bool:
    return extensions.packaged("ducklake") is not None


def with_more(promised: Capabilities, more: Collection[str]) -> Capabilities:
    lacks = {feature: why for feature, why in promised.lacks.items() if feature not in more}
    return replace(promised, lacks=lacks)


@dataclass(frozen=True)
class System:
    """One warehouse, with an empty database. The fields of SQL are what differs in the words."""

    name: str
    settings: dict[str, Any]
    endless: str  #: runs for minutes, and is not too large for memory
    series: str  #: FROM it: {n} numbers, in the column i
    types: dict[str, str] = field(default_factory=dict)
    relations: str = ""  #: (schema, name, "table" or "view") of all but the system's own
    indexes: str = ""
    publishes: str = "commit"  #: the method of a session that makes a publication visible
    more: tuple[str, ...] = ()  #: features that this server has, and not each of its type

    @property
    def address(self) -> WarehouseAddress:
        """For session.connect."""
        return WarehouseAddress(target_type(self.name), {**self.settings, "idle_seconds": 0.5})

    @property
    def module(self) -> Any:
        return importlib.import_module(target_type(self.name).module)

    @property
    def capabilities(self) -> Capabilities:
        found: Capabilities = self.module.CAPABILITIES
        return with_more(found, self.more)

    def open(self) -> OpenWarehouse:
        warehouse: OpenWarehouse = self.module.connect(self.settings)
        return warehouse

    @property
    def speaks_duckdb(self) -> bool:
        """Whether its SQL is DuckDB's, which has no triggers, foreign keys with effects, ..."""
        return self.name in ("duckdb", "ducklake")

    @property
    def has_transactions(self) -> bool:
        return "transactions" not in self.capabilities.lacks

    def relations_of(self, session: WarehouseSession) -> list[tuple[Any, ...]]:
        """(schema, name, "table" or "view") of all but the system's own."""
        if self.relations:
            return session.query(self.relations)[1]
        return relations_at(self.settings["location"])

    def rows_of(self, count: int) -> str:
        return self.series.format(n=count)

    def type_of(self, duckdb: str, literal: str = "") -> str:
        """``literal``: one that has this type, where that may be of a type of its own."""
        return self.types.get(literal) or self.types.get(duckdb, duckdb)


def duckdb_system(path: str) -> System:
    return System(
        "duckdb",
        {"path": path},
        endless="select sum(i) as n from range(100000000000000) t(i)",
        series="range({n}) as series(i)",
        relations=(
            "select table_schema, table_name, case table_type when 'VIEW' then 'view' else 'table'"
            " end from information_schema.tables where table_schema <> 'dagster_models'"
            " order by 1, 2"
        ),
        indexes="select index_name from duckdb_indexes() where schema_name = 's' order by 1",
    )


def ducklake_system(folder: str, postgres: str = "") -> System:
    """Its catalog is a file in the folder, or that database."""
    catalog = {"postgres": postgres} if postgres else {"sqlite": f"{folder}/catalog.sqlite"}
    settings = {**catalog, "data": f"{folder}/data"}
    return replace(duckdb_system(""), name="ducklake", settings=settings)


def postgres_system(dsn: str) -> System:
    return System(
        "postgres",
        {"dsn": dsn, "lock_timeout": 5, "connect_seconds": 5},
        endless=(
            "select count(*) from generate_series(1, 1000000) a(i),"
            " generate_series(1, 1000000) b(j) where i::bigint * j % 7 = 8"
        ),
        series="generate_series(0, {n} - 1) as series(i)",
        types={
            "INTEGER": "integer",
            "BIGINT": "bigint",
            "VARCHAR": "text",
            "DATE": "date",
            "DOUBLE": "double precision",
            "DECIMAL(9,2)": "numeric(9,2)",
            "BOOLEAN": "boolean",
            "TIMESTAMP": "timestamp without time zone",
        },
        relations=(
            "select table_schema::text, table_name::text, case table_type when 'VIEW' then 'view'"
            " else 'table' end from information_schema.tables where table_schema not in"
            " ('dagster_models', 'pg_catalog', 'information_schema') order by 1, 2"
        ),
        indexes=(
            "select indexname::text from pg_indexes where schemaname not in"
            " ('dagster_models', 'pg_catalog') order by 1"
        ),
    )


def server_of(request: pytest.FixtureRequest, way: str) -> ConnectServer:
    """A server for this test run, in one of the ways of SPARKS."""
    if way == "iceberg":
        pytest.importorskip("pyiceberg")
    server: ConnectServer = request.getfixturevalue("apache_spark" if way == "apache" else "sail")
    return server


def spark_settings(settings: dict[str, Any], folder: str, way: str) -> dict[str, Any]:
    """Of a target whose location is a folder."""
    if way != "iceberg":
        return {**settings, "location": folder}
    if REST:
        rest_catalog.OF_LOCATION[folder] = server = rest_catalog.of_this_process()
        server.empty()
        return {**settings, **server.settings, "location": folder}
    catalog = f"sqlite:///{Path(folder).parent}/catalog.db"
    return {**settings, "location": folder, "format": way, "catalog": catalog}


def commits_at(location: str) -> list[tuple[str, str, int, dict[str, Any]]]:
    """(schema, name, version, what its commit says of us) of each commit in the logs of Delta
    tables, as the files have them, or of Iceberg tables, as pyiceberg has them."""
    if catalog := catalog_at(location):
        return [
            (*table.name(), it.sequence_number, _said(it.summary["dagster_models"] or ""))
            for table in tables_of(catalog)
            for it in sorted(table.snapshots(), key=lambda it: it.sequence_number)
        ]
    found = []
    for file in sorted(Path(location).glob("*/*/_delta_log/*.json")):
        actions = map(json.loads, file.read_text().splitlines())
        info = next((it["commitInfo"] for it in actions if "commitInfo" in it), {})
        schema, name = file.parts[-4:-2]
        found.append((schema, name, int(file.stem), _said(info.get("userMetadata") or "")))
    return found


def _said(text: str) -> dict[str, Any]:
    return json.loads(text) if text.startswith("{") else {}


def catalog_at(location: str) -> Any:
    """The catalog of Iceberg tables at a location; None where these are Delta's."""
    if server := rest_catalog.OF_LOCATION.get(location):
        return server.catalog()
    path = Path(location).parent / "catalog.db"
    if not path.exists():
        return None
    from pyiceberg.catalog.sql import SqlCatalog
    from sqlalchemy import NullPool, create_engine

    catalog = SqlCatalog("default", uri=f"sqlite:///{path}")
    # Nobody closes it, so it keeps no connection; Python 3.13 warns of each that is left open.
    catalog.engine.dispose()
    catalog.engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    return catalog


def rows_of_version(location: str, version: int) -> Any:
    """The rows of s.t in one version, as the library of its format reads them."""
    if catalog := catalog_at(location):
        table = catalog.load_table("s.t")
        (one,) = (it for it in table.snapshots() if it.sequence_number == version)
        scan = table.scan(snapshot_id=one.snapshot_id)
        if location not in rest_catalog.OF_LOCATION:
            return scan.to_arrow()
        return _rows_of_files([*scan.plan_files()])
    from deltalake import DeltaTable

    return DeltaTable(f"{location}/s/t", version=version).to_pyarrow_table()


def _rows_of_files(tasks: Sequence[Any]) -> Any:
    """The rows of a snapshot by its files alone: SeaweedFS lets the name mapping of a table have
    its newest columns only, so pyiceberg cannot read an older snapshot."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert not any(it.delete_files for it in tasks)
    paths = [it.file.file_path.removeprefix("file://") for it in tasks]
    return pa.concat_tables(
        [pq.read_table(it, partitioning=None) for it in paths], promote_options="default"
    )


def tables_of(catalog: Any) -> Iterator[Any]:
    for (schema,) in sorted(catalog.list_namespaces()):
        for key in sorted(catalog.list_tables(schema)):
            yield catalog.load_table(key)


def relations_at(location: str) -> list[tuple[Any, ...]]:
    last = {(schema, name): said for schema, name, _, said in commits_at(location)}
    return [(*key, said.get("kind", "table")) for key, said in sorted(last.items())]


def spark_system(settings: dict[str, Any], folder: str, way: str = "delta") -> System:
    return System(
        "spark",
        spark_settings(settings, folder, way),
        endless="select sum(id) as n from range(100000000000000)",
        series="(select id as i from range({n})) as series",
        types={
            "INTEGER": "int",
            "BIGINT": "bigint",
            "VARCHAR": "string",
            "DATE": "date",
            "DOUBLE": "double",
            "DECIMAL(9,2)": "decimal(9,2)",
            "BOOLEAN": "boolean",
            "TIMESTAMP": "timestamp_ntz",
        },
        publishes="publish",
        more=MORE.get(way, ()),
    )


def mariadb_system(settings: dict[str, Any]) -> System:
    return System(
        "mariadb",
        {**settings, "lock_timeout": 1},
        endless=(
            "select sum(a.seq) as n from s.seq_1_to_1000000 as a, s.seq_1_to_1000000 as b"
            " where crc32(a.seq * b.seq) = 7"
        ),
        series="(select seq - 1 as i from s.seq_1_to_{n}) as series",
        types={
            "INTEGER": "int",
            "BIGINT": "bigint",
            "VARCHAR": "longtext",
            "'new'": "varchar(3)",
            "DATE": "date",
            "DOUBLE": "double",
            "DECIMAL(9,2)": "decimal(9,2)",
            "BOOLEAN": "tinyint(1)",
            "TIMESTAMP": "datetime(6)",
        },
        relations=(
            "select table_schema, table_name, case table_type when 'VIEW' then 'view' else 'table'"
            " end from information_schema.tables where table_schema not in ('dagster_models',"
            " 'mysql', 'sys', 'performance_schema', 'information_schema') order by 1, 2"
        ),
        indexes=(
            "select distinct index_name from information_schema.statistics"
            " where table_schema = 's' order by 1"
        ),
        publishes="publish",
    )


@contextmanager
def opened_system(name: str) -> Iterator[System]:
    """A system of its own, which is gone afterwards."""
    if name == "duckdb":
        with tempfile.TemporaryDirectory() as folder:
            yield duckdb_system(f"{folder}/w.duckdb")
        return
    if name == "ducklake":
        with tempfile.TemporaryDirectory() as folder:
            yield ducklake_system(folder)
        return
    server = start_server()
    try:
        yield postgres_system(server.dsn)
    finally:
        server.stop()


@contextmanager
def session_of(warehouse: OpenWarehouse) -> Iterator[WarehouseSession]:
    session = warehouse.session()
    try:
        yield session
    finally:
        session.close()


@contextmanager
def given_up(
    warehouse: OpenWarehouse, session: WarehouseSession, task: BuildTask
) -> Iterator[tuple[WarehouseSession, Staged]]:
    """A session that *session* has given up, and what it has staged by then."""
    with closing(warehouse.session("lost")) as lost:
        staged = lost.build(task)
        assert session.fence("lost", 5, task.relation)
        yield lost, staged


def instrument(session: WarehouseSession, **acts: Any) -> WarehouseSession:
    """Let a test act at points of a task: ``before_commit=..., after_commit=...``."""
    for point, act in acts.items():
        when, _, name = point.partition("_")
        setattr(session, name, _acting(getattr(session, name), act, when))
    return session


def _acting(method: Any, act: Any, when: str) -> Any:
    def acting(*arguments: Any) -> Any:
        if when == "before":
            act()
        result = method(*arguments)
        if when == "after":
            act()
        return result

    return acting


def published(
    session: WarehouseSession,
    content: Content,
    relation: Relation = T,
    how: Materialization = Replace(),  # noqa: B008  # a frozen value
) -> int | None:
    """Build and publish a relation by the door of all warehouses."""
    task = BuildTask("c", str(relation), next(_ATTEMPTS), relation, content, how)
    try:
        staged = session.build(task)
        session.publish(staged, commits_of(task, staged))
    finally:
        session.discard()
    return staged.rows


_HOW: dict[str, Materialization] = {"table": Replace(), "view": View()}


def create(session: WarehouseSession, what: str, sql: str, relation: Relation = T) -> int | None:
    """In a transaction, as a task does it; by the door, where there are no transactions."""
    if not isinstance(session, TransactionalSession):
        return published(session, Query(sql), relation, _HOW[what])
    session.begin()
    try:
        made = table.build(session, relation, _HOW[what], Query(sql)).rows
    except BaseException:
        session.rollback()
        raise
    session.commit()
    return made


def test_a_table_is_built_from_its_previous_version(session: WarehouseSession) -> None:
    create(session, "table", "select 1 as n")
    create(session, "table", "with t as (select n from s.t) select n + 1 as n from t")
    assert session.query("select n from s.t")[1] == [(2,)]
