"""The table that keeps the rows which fail a check, whatever becomes of the build."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.check_tasks import OWN_RELATION, CheckTask
from dagster_models.core.materializations import Incremental, Partitioned
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from systems import instrument
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
    assert build(-4, -5, -6, check=replace(warns, limit=2)).verdict is Verdict.COMMITTED
    assert len(stored(session)) == 2
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
