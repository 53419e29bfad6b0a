"""The door of all warehouses: build, look, publish or discard, and the proof. Asked of each."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from dagster_models.core.commit import Commit
from dagster_models.core.messages import Verdict
from dagster_models.core.tasks import AttemptId, BuildTask, Query
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.processes.server.commits import commits_of
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession, find_proof
from systems import T, create, session_of
from tasks import sql_task

pytestmark = pytest.mark.every_warehouse

TASK = sql_task("s.t", "select 'new' as n", code_version="v1", input_versions={"s.up": "x'y\\"})


def publish(session: WarehouseSession, task: BuildTask = TASK) -> list[Commit]:
    staged = session.build(task)
    commits = commits_of(task, staged)
    session.publish(staged, commits)
    return commits


def test_what_is_staged_is_seen_by_its_session_only(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    create(session, "table", "select 'old' as n")
    staged = session.build(TASK)
    assert session.read(f"select n from {session.name_of(staged)}")[1] == [("new",)]
    with session_of(warehouse) as other:
        assert other.query("select n from s.t")[1] == [("old",)]
        session.discard()
        assert other.query("select n from s.t")[1] == [("old",)]
        assert find_proof(other, T, TASK.id) is None


def test_a_proof_is_read_as_it_was_published(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    assert session.find_proofs(T, TASK.id) == []
    publish(session)
    publish(session, replace(TASK, attempt=2, content=Query("select 1 as m")))
    with session_of(warehouse) as other:
        found = find_proof(other, T, TASK.id)
        assert found is not None
        said = (found.rows, found.input_versions, found.code_version, found.relation)
        assert said == (1, {"s.up": "x'y\\"}, "v1", "s.t")
        then = dt.datetime.fromisoformat(found.committed_at)
        assert abs(dt.datetime.now(dt.timezone.utc) - then) < dt.timedelta(minutes=5)
        assert [it.attempt for it in other.find_proofs(T)] == [2]
        assert [it.attempt for it in other.last_proofs([T])] == [2]
        assert [it.relation for it in other.last_proofs()] == ["s.t"]
        assert find_proof(other, T, AttemptId("r", "s.t", 3)) is None


def test_an_attempt_publishes_once(session: WarehouseSession) -> None:
    """A second process that runs the same attempt finds it published, and publishes nothing."""
    first = run(session, TASK, Stop())
    again = run(session, replace(TASK, content=Query("select 'twice' as n")), Stop())
    assert (first.verdict, again.verdict) == (Verdict.COMMITTED, Verdict.COMMITTED)
    assert session.query("select n from s.t")[1] == [("new",)]
