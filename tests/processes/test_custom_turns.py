"""Two runs that build one model of a kind of the project's own take turns."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, TimeoutError
from dataclasses import replace

import pytest

from dagster_models.core.materializations import Custom
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import BuildTask
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.client.session import connect
from systems import System
from tasks import sql_task


@pytest.fixture(autouse=True)
def _prepared(system: System) -> None:
    """As a run does it before its first step."""
    with connect(system.address) as session:
        session.prepare(["s"])


def task(attempt: int) -> BuildTask:
    return replace(sql_task("s.t", "", attempt=attempt), materialization=Custom("k.Kind", {}))


def test_the_second_one_sees_what_the_first_one_has_left(system: System) -> None:
    with (
        connect(system.address) as one,
        connect(system.address) as two,
        ThreadPoolExecutor() as pool,
    ):
        assert one.open_build(task(1)).seen == ""
        waiting = pool.submit(two.open_build, task(2))
        one.execute("create table s.t as select 1 as x")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        assert one.run(task(1)).verdict is Verdict.COMMITTED
        one.close()
        assert waiting.result(timeout=60).seen == "table"
        two.execute("insert into s.t values (2)")
        outcome = two.run(task(2))
        assert outcome.verdict is Verdict.COMMITTED
        assert [name for name, _ in outcome.columns] == ["x"]
    with connect(system.address) as session:
        assert sorted(tuple(row) for row in session.query("select x from s.t")) == [(1,), (2,)]


def test_whoever_goes_away_has_changed_nothing_and_lets_the_next_one_in(system: System) -> None:
    with connect(system.address) as one:
        one.open_build(task(1))
        one.execute("create table s.t as select 1 as x")
    with connect(system.address) as two:
        assert two.open_build(task(2)).seen == ""


def test_it_is_published_in_its_own_transaction_or_not_at_all(system: System) -> None:
    with connect(system.address) as session:
        session.open_build(task(1))
        session.execute("create table s.t as select 1 as x")
        session.rollback()
        outcome = session.run(task(1))
        assert outcome.error is not None
        assert outcome.error.kind is ErrorKind.OPEN_TRANSACTION
        with pytest.raises(WarehouseError):
            session.query("select x from s.t")
