"""The table that keeps the rows which fail a check, whatever becomes of the build."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession
from systems import System, instrument, session_of
from tasks import sql_task

STORE = Relation("s", "failures_c")
CHECK = CheckTask(
    "c",
    f"select *, 'x' as why from {OWN_RELATION} where n < 0",
    condition="n < 0",
    store=STORE,
)
BUILDER = "shop"

Build = Callable[..., Outcome]


@pytest.fixture
def build(session: WarehouseSession, tmp_path: Path) -> Build:
    """Builds s.t with these rows as a new attempt. Nothing of it is left in the folder."""
    attempt = 0
    folder = tmp_path / "bulk"
    folder.mkdir()

    def build(*numbers: int, check: CheckTask = CHECK, **more: Any) -> Outcome:
        nonlocal attempt
        attempt += 1
        rows = (
            " union all ".join(f"select {n} as n" for n in numbers) or "select 1 as n where 1 = 0"
        )
        task = sql_task("s.t", rows, attempt=attempt, checks=(check,), builder=BUILDER)
        outcome = run(session, replace(task, **more), Stop(), [str(folder)])
        assert os.listdir(folder) == []
        return outcome

    return build


def stored(session: WarehouseSession, table: str = "s.failures_c") -> list[Any]:
    return sorted(session.query(f"select * from {table}")[1])


def fail() -> None:
    raise WarehouseError(ErrorKind.IO, "no room")


def test_the_rows_survive_the_rollback(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.t as select 7 as n")
    outcome = build(1, -1, -2)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert session.query("select n from s.t")[1] == [(7,)]
    assert stored(session) == [(-2, "x"), (-1, "x")]
    assert [it.stored for it in outcome.checks] == ["s.failures_c"]
    assert outcome.notes == ()


def test_each_run_replaces_them_and_a_pass_leaves_none(
    session: WarehouseSession, build: Build
) -> None:
    warns = replace(CHECK, severity="warn")
    assert build(-1, -2, check=warns).verdict is Verdict.COMMITTED
    assert stored(session) == [(-2, "x"), (-1, "x")]
    assert build(-3, 4).verdict is Verdict.ROLLED_BACK
    assert stored(session) == [(-3, "x")]
    outcome = build(-4, -5, -6, check=replace(warns, limit=2))
    assert outcome.verdict is Verdict.COMMITTED
    assert len(stored(session)) == 2
    assert [(it.failures, it.stored_rows) for it in outcome.checks] == [(3, 2)]
    assert build(5).verdict is Verdict.COMMITTED
    assert stored(session) == []
    assert session.query("select * from s.failures_c")[0] == ["n", "why"]


def test_they_are_a_publication_of_their_own(session: WarehouseSession, build: Build) -> None:
    """So the build is not taken for committed by the record of its rows."""
    build(-1)
    record = session.query("select step, relation from dagster_models.commits")[1]
    assert record == [("s.t: c", "s.failures_c")]
    assert [it.commit.step for it in session.built_by(BUILDER)] == ["s.t: c"]


@pytest.mark.parametrize(
    "made",
    [
        "create table s.failures_c as select 1 as mine",
        "create view s.failures_c as select 1 as mine",
    ],
)
def test_what_is_not_ours_is_kept(session: WarehouseSession, build: Build, made: str) -> None:
    session.execute(made)
    outcome = build(-1)
    assert session.query("select * from s.failures_c") == (["mine"], [(1,)])
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert [it.stored for it in outcome.checks] == [""]
    (note,) = outcome.notes
    assert "s.failures_c is kept: this project has not stored it" in note


def test_what_others_have_changed_or_stored_is_kept(
    session: WarehouseSession, build: Build
) -> None:
    build(-1)
    session.execute("insert into s.failures_c values (3, 'mine')")
    (note,) = build(-1).notes
    assert "somebody has written to it" in note
    session.execute("drop table s.failures_c")
    session.execute("create table s.failures_c as select 1 as mine")
    (note,) = build(-1).notes
    assert "is kept: " in note
    session.execute("drop table s.failures_c")
    assert build(-1).notes == ()
    (note,) = build(-1, check=replace(CHECK, name="d")).notes  # a model's own table, likewise
    assert "it belongs to s.t: c" in note
    assert stored(session) == [(-1, "x")]


@pytest.mark.parametrize(
    "change",
    [
        "update s.failures_c set why = 'seen'",
        "update s.failures_c set why = null",
        "delete from s.failures_c",
        "alter table s.failures_c add column mine int",
        "alter table s.failures_c add column mine int default 7",
    ],
)
def test_whatever_others_have_changed_is_kept(
    session: WarehouseSession, build: Build, change: str
) -> None:
    """Also from `clean --relations`."""
    build(-1, -1, -2)
    session.execute(change)
    there = session.query("select * from s.failures_c")
    for _ in range(2):
        (note,) = build(-3).notes
        assert "its rows or columns are not those that were stored: somebody has" in note
        with pytest.raises(WarehouseError, match="somebody has written to it"):
            session.drop(STORE, BUILDER)
    assert session.query("select * from s.failures_c") == there
    session.execute("drop table s.failures_c")
    assert build(-3).notes == ()
    session.drop(STORE, BUILDER)


def test_rows_are_the_same_in_another_time_zone(session: WarehouseSession, build: Build) -> None:
    moment = "timestamptz '2024-01-01 00:00:00+00' as seen"
    check = replace(CHECK, sql=f"select n, {moment} from {OWN_RELATION} where n < 0")
    for zone in ("UTC", "America/New_York", "Asia/Tokyo"):
        session.execute(f"set timezone = '{zone}'")
        assert build(-1, check=check).notes == ()
    session.execute("update s.failures_c set seen = timestamptz '2024-01-01 00:00:00-05'")
    assert len(build(-1, check=check).notes) == 1


#: What somebody writes to a table with the row (-1, 'x'), and what it has then.
WRITES = {
    "insert into s.failures_c values (7, 'mine')": [(-1, "x"), (7, "mine")],
    "update s.failures_c set why = 'mine'": [(-1, "mine")],
    "delete from s.failures_c": [],
}


@pytest.mark.parametrize(
    ("method", "call"), [("begin", 2), ("take_turn", 1), ("built_by", 1), ("replace_table", 2)]
)
def test_what_others_write_meanwhile_is_never_lost(
    system: System,
    warehouse: OpenWarehouse,
    session: WarehouseSession,
    build: Build,
    method: str,
    call: int,
) -> None:
    """Whenever they do while the table is replaced: their statement fails, or what it wrote is
    kept."""
    with session_of(warehouse) as other:
        if system.name == "postgres":
            other.execute("set lock_timeout = '50ms'")
        for write, left in WRITES.items():
            session.execute("drop table if exists s.failures_c")
            build(-1)
            refused: list[WarehouseError] = []

            def act(write: str = write, refused: list[WarehouseError] = refused) -> None:
                try:
                    other.execute(write)
                except WarehouseError as error:
                    refused.append(error)

            with after_call(session, method, call, act):
                notes = build(-2).notes
            assert bool(refused) == (not notes), (write, notes)
            # DuckDB has no lock that could be taken first.
            early = method == "begin" or (method == "take_turn" and system.name == "duckdb")
            assert bool(refused) != early
            assert stored(session) == ([(-2, "x")] if refused else left)


@contextmanager
def after_call(
    session: WarehouseSession, method: str, number: int, act: Callable[[], None]
) -> Iterator[None]:
    usual, calls = getattr(session, method), count(1)

    def acting(*given: Any, **more: Any) -> Any:
        found = usual(*given, **more)
        if next(calls) == number:
            act()
        return found

    setattr(session, method, acting)
    yield
    setattr(session, method, usual)


def test_a_transaction_of_others_that_is_open_cannot_lose_its_rows(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession, build: Build
) -> None:
    """It cannot be committed any more; or, where a table can be locked, we wait for it in vain."""
    for write, left in WRITES.items():
        session.execute("drop table if exists s.failures_c")
        build(-1)
        with session_of(warehouse) as other:
            other.begin()
            other.execute(write)
            if system.name == "postgres":
                session.execute("set lock_timeout = '50ms'")
            notes = build(-2).notes
            if notes:
                other.commit()
                assert stored(session) == left
                continue
            with pytest.raises(WarehouseError, match="altered"):
                other.commit()
            assert stored(session) == [(-2, "x")]
        assert system.name == "duckdb"


def test_a_table_of_an_older_version_is_taken_over(session: WarehouseSession, build: Build) -> None:
    """Its record has no digest, so the number of rows must do, once."""
    build(-1)
    session.execute("update dagster_models.commits set code_version = '' where step = 's.t: c'")
    assert build(-2).notes == ()
    session.execute("update s.failures_c set why = 'seen'")
    assert len(build(-3).notes) == 1


def test_a_loss_while_they_are_stored_leaves_the_old_ones(
    session: WarehouseSession, build: Build
) -> None:
    build(-1)

    publish = session.publish
    for act in (fail, lambda: session.execute("select 1 / 0 from s.nothing")):
        instrument(session, before_publish=act)
        outcome = build(-2)
        assert outcome.verdict is Verdict.ROLLED_BACK
        assert len(outcome.notes) == 1
        assert stored(session) == [(-1, "x")]
        session.publish = publish  # type: ignore[method-assign]
    build(-3)
    assert stored(session) == [(-3, "x")]


def test_rows_that_cannot_be_kept_stop_nothing(session: WarehouseSession, build: Build) -> None:
    instrument(session, before_export=fail)
    outcome = build(-1, check=replace(CHECK, severity="warn"))
    assert outcome.verdict is Verdict.COMMITTED
    assert outcome.notes == ("WARNING: the rows of c are not stored: no room",)
    assert session.query("select n from s.t")[1] == [(-1,)]
    assert build(-2).verdict is Verdict.ROLLED_BACK


def test_the_rows_of_all_transactions_are_kept(session: WarehouseSession, build: Build) -> None:
    wanted = tuple(Partition(str(n), ValueWindow((str(n),))) for n in (-2, -1, 3))
    how = Incremental("replace", partitioned=Partitioned("n", wanted, batch=1))
    window = replace(CHECK, severity="warn", scope="window")
    outcome = build(-2, -1, 3, check=window, materialization=how)
    assert outcome.verdict is Verdict.COMMITTED
    assert stored(session) == [(-2, "x"), (-1, "x")]
    session.execute("drop table s.t")
    outcome = build(-2, -1, 3, check=replace(window, scope="table"), materialization=how)
    assert stored(session) == [(-2, "x"), (-1, "x")]
