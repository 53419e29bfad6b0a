"""A task is published whole or leaves no trace, and the outcome is the warehouse's answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.materializations import View
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.model import Relation
from dagster_models.core.python_code import LoadedFile
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.core.tasks import ArrowFile, CsvFile, Query
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import OpenWarehouse, WarehouseSession, find_proof
from systems import System, commits_at, create, instrument, session_of
from tasks import arrow_task, csv_task, sql_task, with_sql

pytestmark = pytest.mark.every_warehouse

TASK = sql_task("s.t", "select 'new' as n", code_version="v2", input_versions={"s.up": "v1"})


@pytest.fixture
def warehouse(system: System) -> Iterator[OpenWarehouse]:
    warehouse = system.open()
    with session_of(warehouse) as session:
        session.prepare(["s"])
        if system.has_transactions:
            session.execute("create table s.t as select 'old' as n")
        else:
            create(session, "table", "select 'old' as n")
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: OpenWarehouse) -> Iterator[WarehouseSession]:
    with session_of(warehouse) as session:
        yield session


def held(warehouse: OpenWarehouse) -> tuple[Any, ...]:
    """What another session sees: the table, the commit records."""
    with session_of(warehouse) as other:
        rows = other.query("select n from s.t")[1]
        if warehouse.capabilities.publishing == "commit":
            return rows, len(commits_at(warehouse.location.folder)) - 1
        # The run "c" has made the table where there are no transactions.
        counted = "select count(*) from dagster_models.commits where run_id <> 'c'"
        return rows, other.query(counted)[1][0][0]


UNTOUCHED = ([("old",)], 0)
PUBLISHED = ([("new",)], 1)


@pytest.mark.feature("publish")
def test_a_published_table(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    outcome = run(session, TASK, Stop())
    assert (outcome.verdict, outcome.rows, outcome.error) == (Verdict.COMMITTED, 1, None)
    assert outcome.columns == (("n", system.type_of("VARCHAR", "'new'")),)
    assert outcome.started_at > 1e9
    assert outcome.seconds > 0
    assert held(warehouse) == PUBLISHED
    record = find_proof(session, TASK.relation, TASK.id)
    assert record is not None
    assert (record.relation, record.code_version, record.rows) == ("s.t", "v2", 1)
    assert record.input_versions == {"s.up": "v1"}
    assert Outcome.from_json(outcome.to_json()) == outcome


@pytest.mark.feature("publish")
def test_a_published_view_has_no_rows(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    outcome = run(session, replace(TASK, materialization=View()), Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, None)
    assert outcome.columns == (("n", system.type_of("VARCHAR", "'new'")),)
    assert held(warehouse) == PUBLISHED


def test_a_model_may_read_what_it_replaces(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    outcome = run(session, with_sql(TASK, "select concat(n, '!') as n from s.t"), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert held(warehouse)[0] == [("old!",)]


@pytest.mark.parametrize(
    "change",
    [
        {"content": Query("select nope")},
        {"content": Query("select cast('x' as int) as n")},
        {"content": Query("select 1 as n; commit")},
        {"content": Query("select cast('x' as int) as n"), "materialization": View()},
        {"content": CsvFile(LoadedFile("nowhere.csv"))},
        {"content": ArrowFile("nowhere.arrow")},
        {"content": ArrowFile("nowhere.arrow"), "materialization": View()},
    ],
)
def test_an_own_error_leaves_no_trace(
    warehouse: OpenWarehouse, session: WarehouseSession, change: dict[str, Any]
) -> None:
    if change.get("materialization") == View():  # binds, and fails only when it is read
        change = {**change, "checks": (CheckTask("c", "select * from s.t"),)}
    outcome = run(session, replace(TASK, **change), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert not session.in_transaction
    assert held(warehouse) == UNTOUCHED


@pytest.mark.feature("transactions")
def test_a_schema_that_is_not_there(warehouse: OpenWarehouse, session: WarehouseSession) -> None:
    """Without transactions it is made, as nothing could undo that."""
    outcome = run(session, replace(TASK, relation=Relation("no_such_schema", "t")), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert held(warehouse) == UNTOUCHED


def test_an_error_is_not_committed_by_the_next_task(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    run(session, with_sql(TASK, "select cast('x' as int)"), Stop())
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert held(warehouse) == PUBLISHED


@pytest.mark.feature("transactions")
def test_an_open_transaction_is_the_callers(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    session.begin()
    session.execute("create table s.mine as select 1")
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.OPEN_TRANSACTION
    session.commit()
    assert held(warehouse) == UNTOUCHED
    assert session.query("select count(*) from s.mine")[1] == [(1,)]


# Checks ------------------------------------------------------------------------------------------


def test_a_failed_check_rolls_back_and_all_are_told(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    checks = (
        CheckTask("fine", "select * from s.t where n is null"),
        CheckTask("fails", "select * from s.t;"),
        CheckTask("warns", "select * from s.t", "warn"),
        CheckTask("fails_too", f"select * from {OWN_RELATION} where n = 'new' -- all"),
    )
    outcome = run(session, replace(TASK, checks=checks), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind is ErrorKind.CHECK_FAILED
    assert [(c.name, c.passed, c.failures) for c in outcome.checks] == [
        ("fine", True, 0),
        ("fails", False, 1),
        ("warns", False, 1),
        ("fails_too", False, 1),
    ]
    assert held(warehouse) == UNTOUCHED


def test_a_warning_does_not_stop(warehouse: OpenWarehouse, session: WarehouseSession) -> None:
    outcome = run(
        session, replace(TASK, checks=(CheckTask("w", "select * from s.t", "warn"),)), Stop()
    )
    assert outcome.verdict is Verdict.COMMITTED
    assert [check.failures for check in outcome.checks] == [1]
    assert held(warehouse) == PUBLISHED


@pytest.mark.parametrize(
    "broken", ["select nope", "select cast(n as int) from s.t where cast(n as int) > 0"]
)
def test_a_check_that_cannot_run(
    warehouse: OpenWarehouse, session: WarehouseSession, broken: str
) -> None:
    """One that may only warn takes no publication with it, whatever it did to the transaction."""
    checks = (CheckTask("broken", broken, "warn"), CheckTask("fine", "select 1 where false"))
    outcome = run(session, replace(TASK, checks=checks), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert [(check.name, check.passed) for check in outcome.checks] == [
        ("broken", False),
        ("fine", True),
    ]
    assert outcome.checks[0].error != ""
    assert held(warehouse) == PUBLISHED


def test_a_check_of_severity_error_that_cannot_run_fails(
    warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    outcome = run(session, replace(TASK, checks=(CheckTask("c", "select nope"),)), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.message == "not published, as a check failed"
    (check,) = outcome.checks
    assert check.error is not None
    assert "nope" in check.error.message.split("\n")[0]
    assert held(warehouse) == UNTOUCHED


# Stop --------------------------------------------------------------------------------------------


def test_stop_before_the_start(warehouse: OpenWarehouse, session: WarehouseSession) -> None:
    stop = Stop()
    stop.ask(session.interrupt)
    assert run(session, TASK, stop).verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED


@pytest.mark.feature("cancel")
def test_stop_while_it_builds(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    stop, done, outcomes = Stop(), threading.Event(), []

    def work() -> None:
        outcomes.append(run(session, with_sql(TASK, system.endless), stop))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.02):
        stop.ask(session.interrupt)
    thread.join()
    assert outcomes[0].verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED


@pytest.mark.parametrize("checks", [(), (CheckTask("c", "select 1 where false"),)])
def test_stop_between_two_statements(
    warehouse: OpenWarehouse, session: WarehouseSession, checks: tuple[CheckTask, ...]
) -> None:
    stop = Stop()
    session = instrument(session, before_columns=lambda: stop.ask(lambda: None))
    outcome = run(session, replace(TASK, checks=checks), stop)
    assert outcome.verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED


def test_a_commit_that_wins_the_race_is_committed(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    stop, interrupts = Stop(), list[int]()
    act = {f"before_{system.publishes}": lambda: stop.ask(lambda: interrupts.append(1))}
    session = instrument(session, **act)
    assert run(session, TASK, stop).verdict is Verdict.COMMITTED
    assert stop.is_set()
    assert interrupts == []
    assert held(warehouse) == PUBLISHED


def test_a_rollback_is_not_interrupted(warehouse: OpenWarehouse, session: WarehouseSession) -> None:
    """Where there are no transactions, what the build has left is removed."""
    stop, interrupts = Stop(), list[int]()

    def ask() -> None:
        if sys.exc_info()[1] is not None:  # some sessions begin a build with it, too
            stop.ask(lambda: interrupts.append(1))

    session = instrument(session, before_rollback=ask, before_discard=ask)
    outcome = run(session, with_sql(TASK, "select cast('x' as int)"), stop)
    assert outcome.verdict is Verdict.ROLLED_BACK, "its own error came first"
    assert stop.is_set()
    assert interrupts == []


def test_an_interrupt_that_nobody_asked_for_is_no_cancel(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    done = threading.Event()

    def interrupt() -> None:
        while not done.wait(0.02):
            session.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    outcome = run(session, with_sql(TASK, system.endless), Stop())
    done.set()
    thread.join()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.transient


# COMMIT that errs --------------------------------------------------------------------------------


def fail() -> None:
    raise WarehouseError(ErrorKind.IO, "the wire broke")


def test_a_commit_that_errs_before_it_took_place(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    session = instrument(session, **{f"before_{system.publishes}": fail})
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.message == "the wire broke"
    assert held(warehouse) == UNTOUCHED


def test_a_commit_that_errs_after_it_took_place(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession
) -> None:
    session = instrument(session, **{f"after_{system.publishes}": fail})
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert held(warehouse) == PUBLISHED


def test_a_commit_whose_record_cannot_be_read_is_in_doubt(
    system: System,
    warehouse: OpenWarehouse,
    session: WarehouseSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = instrument(session, **{f"before_{system.publishes}": fail})
    monkeypatch.setattr(session, "find_proofs", lambda *_: fail())
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.UNKNOWN
    assert outcome.error is not None
    assert "cannot be read" in outcome.error.message


# Other kinds -------------------------------------------------------------------------------------


@pytest.mark.feature("publish")
def test_a_seed(
    system: System, warehouse: OpenWarehouse, session: WarehouseSession, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("n,m\nnew,1\n")
    file = LoadedFile(str(tmp_path / "t.csv"))
    seed = replace(TASK, content=CsvFile(file, {"m": system.type_of("DOUBLE")}))
    outcome = run(session, seed, Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1)
    assert outcome.columns == (("n", system.type_of("VARCHAR")), ("m", system.type_of("DOUBLE")))
    assert held(warehouse) == PUBLISHED


def test_a_seed_with_a_bad_row_leaves_no_trace(
    warehouse: OpenWarehouse, session: WarehouseSession, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("n,m\na,1\nb\n")
    outcome = run(session, csv_task("s.t", tmp_path / "t.csv"), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.line == 3
    assert held(warehouse) == UNTOUCHED


@pytest.mark.feature("publish")
def test_an_arrow_file(warehouse: OpenWarehouse, session: WarehouseSession, tmp_path: Path) -> None:
    path, _ = session.export("select 'new' as n", [str(tmp_path)])
    arrow = replace(
        TASK, content=ArrowFile(path), checks=(CheckTask("c", "select * from s.t where n is null"),)
    )
    outcome = run(session, arrow, Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1)
    assert held(warehouse) == PUBLISHED


def test_an_arrow_file_takes_the_place_of_a_view(
    warehouse: OpenWarehouse, session: WarehouseSession, tmp_path: Path
) -> None:
    path, _ = session.export("select 'new' as n", [str(tmp_path)])
    view = replace(with_sql(TASK, "select 1 as n"), materialization=View(), run_id="before")
    assert run(session, view, Stop()).error is None
    assert run(session, arrow_task("s.t", path), Stop()).error is None
    assert held(warehouse) == ([("new",)], 2)


def test_an_interrupt_that_shows_as_an_aborted_transaction_is_a_cancel(
    warehouse: OpenWarehouse, session: WarehouseSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has met a statement whose error is suppressed, and the next one finds the transaction
    aborted. Without a stop the same error is one of the step."""

    def aborted(*_: object) -> None:
        raise WarehouseError(ErrorKind.TRANSACTION_FAILED, "Current transaction is aborted")

    stop = Stop()

    def stopped(*_: object) -> None:
        stop.ask(lambda: None)
        aborted()

    monkeypatch.setattr(session, "columns", stopped)
    assert run(session, TASK, stop).verdict is Verdict.CANCELED
    monkeypatch.setattr(session, "columns", aborted)
    assert run(session, TASK, Stop()).verdict is Verdict.ROLLED_BACK
    assert held(warehouse) == UNTOUCHED
