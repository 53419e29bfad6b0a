"""The commit record table: its format, its migration, and that no attempt is published twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module

import psycopg
import pytest

from dagster_models.core.commit import Commit
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import AttemptId
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses import records
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession, find_proof
from systems import System, postgres_system, session_of
from tasks import sql_task

#: What dagster-models 0.1.0 sends (commit 41d8285): the table, and a record without column names.
OLD = {
    "duckdb": (
        "create schema dagster_models;"
        'CREATE TABLE IF NOT EXISTS "dagster_models"."commits" (run_id VARCHAR, step VARCHAR,'
        " attempt INTEGER, relation VARCHAR, code_version VARCHAR, input_versions JSON,"
        ' "rows" BIGINT, committed_at TIMESTAMP)'
    ),
    "postgres": (
        "create schema dagster_models;"
        'CREATE TABLE IF NOT EXISTS "dagster_models"."commits" (run_id text, step text,'
        " attempt integer, relation text, code_version text, input_versions jsonb, rows bigint,"
        " committed_at timestamptz, PRIMARY KEY (run_id, step, attempt))"
    ),
}
#: What makes it of format 2.
SECOND = {
    "duckdb": (
        "create unique index commits_key on dagster_models.commits (run_id, step, attempt);"
        "create table dagster_models.format (version integer);"
        "insert into dagster_models.format values (2)"
    ),
    "postgres": "comment on table dagster_models.commits is 'dagster-models: format 2'",
}
OLD_RECORD = (
    "insert into dagster_models.commits values ('{}', 's.t', 1, 's.t', 'v1', '{{}}', 3, {})"
)
TASK = sql_task("s.t", "select 1 as n")


@pytest.fixture
def fresh(warehouse: OpenWarehouse) -> Iterator[WarehouseSession]:
    """A session of a database that nobody has prepared."""
    with session_of(warehouse) as session:
        yield session


def test_a_table_of_the_first_version_is_upgraded_and_its_records_are_read(
    system: System, fresh: WarehouseSession
) -> None:
    session = fresh
    session.execute(OLD[system.name])
    session.execute(OLD_RECORD.format("old", "'2026-01-02 03:04:05'"))
    if system.name == "duckdb":  # where the first version had no key
        session.execute(OLD_RECORD.format("old", "'2026-01-02 03:04:06'"))
    for _ in range(2):
        session.prepare(["s"])
    found = find_proof(session, TASK.relation, AttemptId("old", "s.t", 1))
    assert found is not None
    assert (found.rows, found.committed_at[:10]) == (3, "2026-01-02")
    assert session.query("select count(*) from dagster_models.commits")[1] == [(1,)]
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert [commit.run_id for commit in session.last_proofs([TASK.relation])] == ["r"]


def test_a_table_of_the_second_format_is_upgraded_and_its_records_are_read(
    system: System, fresh: WarehouseSession
) -> None:
    fresh.execute(OLD[system.name])
    fresh.execute(SECOND[system.name])
    fresh.execute(OLD_RECORD.format("old", "'2026-01-02 03:04:05'"))
    for _ in range(2):
        fresh.prepare(["s"])
    found = find_proof(fresh, TASK.relation, AttemptId("old", "s.t", 1))
    assert found is not None
    assert (found.rows, found.kind, found.part, found.changes) == (3, "whole", 0, None)
    fresh.begin()
    fresh.write_record(replace(found, part=1))  # type: ignore[attr-defined]
    fresh.commit()
    with pytest.raises(WarehouseError):  # the key, with the part
        fresh.write_record(found)  # type: ignore[attr-defined]


@contextmanager
def of_format(system: System, monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """The program knows formats up to that one."""
    module = import_module(f"dagster_models.warehouses.{system.name}.records")
    with monkeypatch.context() as patch:
        for holder in (module, records):
            patch.setattr(holder, "FORMAT", number)
        patch.setattr(module, "refuse_newer", partial(records.refuse_newer, known=number))
        if hasattr(module, "_MARK"):
            patch.setattr(module, "_MARK", re.sub(r"format \d+", f"format {number}", module._MARK))
        yield


def test_a_table_of_the_fourth_format_takes_records_of_windows(
    system: System, fresh: WarehouseSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is added to the table: a program that knows the fourth one would take the first
    record of an attempt for the proof of all of it, and says that it is too old instead."""
    old = Commit("old", "s.t", 1, "s.t", "v1", {"s.u": "v"}, 3, kind="delta", inserted=1)
    with of_format(system, monkeypatch, 4):
        fresh.prepare(["s"])
        fresh.begin()
        fresh.write_record(old)  # type: ignore[attr-defined]
        fresh.commit()
    for _ in range(2):
        fresh.prepare(["s"])
    (found,) = fresh.find_proofs(TASK.relation)
    assert replace(found, committed_at="") == replace(old, updated=None)
    fresh.begin()
    for part in (0, 1):
        window = {"kind": "window", "window_start": f'["{part}"]'}
        fresh.write_record(replace(old, run_id="new", part=part, **window))  # type: ignore
    fresh.commit()
    proofs = fresh.find_proofs(TASK.relation, AttemptId("new", "s.t", 1))
    assert [(it.part, it.window_start) for it in proofs] == [(0, '["0"]'), (1, '["1"]')]
    assert [it.part for it in fresh.last_proofs([TASK.relation])] == [1]
    with (
        of_format(system, monkeypatch, 4),
        pytest.raises(WarehouseError, match="have format 5, and") as it,
    ):
        fresh.prepare(["s"])
    assert it.value.kind is ErrorKind.VERSION_MISMATCH


def test_the_first_version_writes_its_records_or_publishes_nothing(
    system: System, session: WarehouseSession
) -> None:
    """It knows no formats, and its INSERT names no columns. What fails is its whole transaction."""
    session.prepare(["s"])
    session.begin()
    session.execute("create table s.t as select 1 as n")
    try:
        session.execute(OLD_RECORD.format("old", "current_timestamp"))
        session.commit()
    except WarehouseError:
        session.rollback()
    tables = session.query("select 1 from information_schema.tables where table_schema = 's'")[1]
    found = find_proof(session, None, AttemptId("old", "s.t", 1))
    assert (found is not None) == bool(tables) == (system.name == "postgres")


def test_only_the_owner_of_the_records_can_upgrade_them(
    postgres_dsn: str, admin: psycopg.Connection
) -> None:
    system = postgres_system(postgres_dsn)
    admin.execute(OLD["postgres"].encode())
    admin.execute(SECOND["postgres"].encode())
    admin.execute("drop role if exists dm_other")
    admin.execute("create role dm_other login")
    admin.execute("grant usage on schema dagster_models to dm_other")
    with session_of(system.open()) as session:
        session.execute("set role dm_other")
        with pytest.raises(WarehouseError, match="let that role run this version once") as it:
            session.prepare(["dagster_models"])
        assert it.value.kind is ErrorKind.PERMISSION


@pytest.fixture
def newer(system: System, monkeypatch: pytest.MonkeyPatch) -> Callable[[WarehouseSession], None]:
    """Prepares a database as a later version does, which adds a column."""
    module = import_module(f"dagster_models.warehouses.{system.name}.records")

    def prepare(session: WarehouseSession) -> None:
        add = "ALTER TABLE dagster_models.commits ADD COLUMN IF NOT EXISTS later TEXT"
        with monkeypatch.context() as patch:
            for holder in (module, records):
                patch.setattr(holder, "FORMAT", records.FORMAT + 1)
            patch.setitem(module._MIGRATIONS, records.FORMAT, (add,))
            if hasattr(module, "_MARK"):
                mark = re.sub(r"format \d+", f"format {records.FORMAT}", module._MARK)
                patch.setattr(module, "_MARK", mark)
            session.prepare(["s"])

    return prepare


def test_a_later_format_adds_its_columns_in_place(
    session: WarehouseSession, newer: Callable[[WarehouseSession], None]
) -> None:
    session.prepare(["s"])
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    newer(session)
    assert session.query("select run_id, later from dagster_models.commits")[1] == [("r", None)]


def test_an_older_program_says_that_the_table_is_newer_and_changes_nothing(
    session: WarehouseSession, newer: Callable[[WarehouseSession], None]
) -> None:
    newer(session)
    with pytest.raises(WarehouseError, match=f"have format {records.FORMAT + 1}, and") as it:
        session.prepare(["other"])
    assert it.value.kind is ErrorKind.VERSION_MISMATCH
    schemas = session.query("select schema_name from information_schema.schemata")[1]
    assert ("other",) not in schemas


def test_no_attempt_is_published_twice(warehouse: OpenWarehouse, session: WarehouseSession) -> None:
    """Two processes may run one attempt of one run: a run that was resumed while the first lived.

    The table stays that of the one publication whose record is there, and the second one says so.
    """
    session.prepare(["s"])
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    with session_of(warehouse) as other:
        again = sql_task("s.t", "select 2 as n union all select 3")
        outcome = run(other, again, Stop())
        assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1), "by the first one"
    assert session.query("select n from s.t")[1] == [(1,)]
    assert session.query("select count(*) from dagster_models.commits")[1] == [(1,)]


def test_two_that_write_one_record_at_once(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    """Neither sees the other's record before it commits."""
    session.prepare(["s"])
    commit = Commit("r", "s.t", 1, "s.t", "v", {})
    with session_of(warehouse) as other:
        other.begin()
        other.query("select 1")  # from here on it sees what is there now
        session.begin()
        session.write_record(commit)  # type: ignore[attr-defined]
        session.commit()
        with pytest.raises(WarehouseError) as it:
            _write(other, commit)
        assert it.value.kind in (ErrorKind.CONSTRAINT, ErrorKind.TRANSACTION_FAILED)
        other.rollback()


def _write(session: WarehouseSession, commit: Commit) -> None:
    session.write_record(commit)  # type: ignore[attr-defined]
    session.commit()
