"""The warehouses of the histories, asked directly: no code of the product is between.

Each builds what is there before a run, and reads what is there afterwards: it is the oracle.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg

from postgres_server import dsn_of_database

Held = tuple[str, int]  #: "table" or "view", and the version in it

_LEAVE_SECONDS = 10.0


@dataclass
class Found:
    """What a warehouse holds after a run."""

    relations: dict[str, Held] = field(default_factory=dict)
    #: relation -> versions of what it was built from, by column
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: step -> attempts with a commit record of the run
    records: dict[str, list[int]] = field(default_factory=dict)
    #: sessions that outlived all processes of the run
    sessions: list[str] = field(default_factory=list)

    def add_table(self, name: str, columns: Sequence[str], row: Sequence[Any] | None) -> None:
        self.inputs[name] = dict(zip(columns, row or [0], strict=False))
        self.relations[name] = ("table", self.inputs[name].get("v", 0))

    def add_view(self, name: str, sql: str) -> None:
        version = re.search(r"select\s+(\d+) as v", sql, re.IGNORECASE)
        self.relations[name] = ("view", int(version.group(1)) if version else 0)

    def add_records(self, rows: Sequence[tuple[Any, ...]]) -> None:
        for step, attempt in rows:
            self.records.setdefault(step, []).append(attempt)


class Truth(Protocol):
    """``env``: what a run must have besides."""

    env: dict[str, str]

    def prepare(self, statements: Sequence[str]) -> None: ...
    def read(self, run_id: str) -> Found: ...
    def end_session(self, backend: int) -> None: ...
    def kill_backend(self, backend: int) -> None: ...


_RECORDS = "select step, attempt from dagster_models.commits where run_id = "


class DuckDBTruth:
    def __init__(self, root: Path) -> None:
        self._path = root / "target" / "truth.duckdb"
        self.env: dict[str, str] = {}

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(str(self._path), config={"threads": 1})

    def prepare(self, statements: Sequence[str]) -> None:
        self._path.parent.mkdir()
        with self._connect() as database:
            database.execute("create schema seeds")
            for statement in statements:
                database.execute(statement)

    def read(self, run_id: str) -> Found:
        found = Found()
        with self._connect() as database:
            tables = (
                "select schema_name || '.' || table_name from duckdb_tables()"
                " where (schema_name, table_name) <> ('dagster_models', 'format')"
            )
            for (name,) in database.execute(tables).fetchall():
                if name == "dagster_models.commits":
                    found.add_records(database.execute(_RECORDS + "?", [run_id]).fetchall())
                    continue
                table = database.execute(f"from {name}")
                columns = [column[0] for column in table.description]
                found.add_table(name, columns, table.fetchone())
            views = "select schema_name || '.' || view_name, sql from duckdb_views()"
            for name, sql in database.execute(f"{views} where not internal").fetchall():
                found.add_view(name, sql)
        return found

    def end_session(self, backend: int) -> None:
        raise AssertionError("DuckDB has no sessions that could be ended one by one")

    kill_backend = end_session


class PostgresTruth:
    """A database of its own on the server. Use ``postgres_truth``, which drops it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self.env = {"TRUTH_DSN": dsn}

    def _connect(self) -> psycopg.Connection:
        """Connect, also while the server starts again after a kill."""
        end = time.monotonic() + _LEAVE_SECONDS
        while True:
            try:
                return psycopg.connect(self._dsn, autocommit=True)
            except psycopg.OperationalError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)  # a server does not announce its start

    def prepare(self, statements: Sequence[str]) -> None:
        with self._connect() as database:
            for statement in ("create schema main", "create schema seeds", *statements):
                database.execute(statement.encode())

    def read(self, run_id: str) -> Found:
        found = Found()
        with self._connect() as database:
            found.sessions = self._left(database)
            rows = database.execute(
                "select format('%I.%I', nspname, relname), relkind = 'v', pg_get_viewdef(c.oid)"
                " from pg_class c join pg_namespace n on n.oid = relnamespace"
                " where relkind in ('r', 'p', 'v', 'm') and nspname <> 'information_schema'"
                " and nspname !~ '^pg_(catalog|toast)'"
            ).fetchall()
            for name, is_view, sql in rows:
                if is_view:
                    found.add_view(name, sql)
                elif name == "dagster_models.commits":
                    records = database.execute(_RECORDS.encode() + b"%s", [run_id])
                    found.add_records(records.fetchall())
                else:
                    table = database.execute(f"select * from {name}".encode())
                    columns = [column.name for column in table.description or ()]
                    found.add_table(name, columns, table.fetchone())
        return found

    def _left(self, database: psycopg.Connection) -> list[str]:
        """Sessions that do not end, though their client has: what they do could still change."""
        end = time.monotonic() + _LEAVE_SECONDS
        while rows := database.execute(
            "select pid, application_name, state, query from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall():
            if time.monotonic() > end:
                return [" ".join(map(str, row)) for row in rows]
            time.sleep(0.01)  # a server does not announce the end of a session
        return []

    def end_session(self, backend: int) -> None:
        """End one session of the run, or all where the point has none of its own."""
        with self._connect() as database:
            database.execute(f"select pg_terminate_backend(pid) {_OURS}".encode(), [backend])

    def kill_backend(self, backend: int) -> None:
        """SIGKILL to one of the server's processes: the server ends all others and starts again."""
        with self._connect() as database:
            found = database.execute(f"select pid {_OURS}".encode(), [backend]).fetchall()
        for (pid,) in found[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


_OURS = (
    "from pg_stat_activity where datname = current_database()"
    " and application_name like 'dagster-models%%' and %s in (pid, 0) order by pid"
)


@contextlib.contextmanager
def postgres_truth(admin: str, name: str) -> Iterator[PostgresTruth]:
    """A new database, dropped afterwards."""
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template template0'.encode())
    try:
        yield PostgresTruth(dsn_of_database(admin, name))
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'drop database "{name}" with (force)'.encode())
