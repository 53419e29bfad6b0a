"""A task is published whole or leaves no trace, and the outcome is the warehouse's answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dagster_models.core.messages import CheckTask, Outcome, Task, Verdict
from dagster_models.core.model import Relation
from dagster_models.errors import WarehouseError, WarehouseLost
from dagster_models.materialization import CONFLICT_RETRIES, Stop, run
from dagster_models.warehouses.base import WarehouseSession
from dagster_models.warehouses.duckdb import DuckDB, DuckDBSession, connect

TASK = Task(
    run_id="r",
    step="s.t",
    attempt=1,
    kind="sql",
    relation=Relation("s", "t"),
    sql="select 'new' as n",
    code_version="v2",
    input_versions={"s.up": "v1"},
)

ENDLESS = "select count(*) from range(1000000) a(i), range(1000000) b(j) where a.i * b.j % 7 = 8"


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[DuckDB]:
    warehouse = connect({"path": str(tmp_path / "w.duckdb")})
    session = warehouse.session()
    session.prepare(["s"])
    session.execute("create table s.t as select 'old' as n; create index on_n on s.t (n)")
    session.close()
    yield warehouse
    warehouse.close()


@pytest.fixture
def session(warehouse: DuckDB) -> Iterator[WarehouseSession]:
    session = warehouse.session()
    yield session
    session.close()


def held(warehouse: DuckDB) -> tuple[Any, ...]:
    """What another session sees: the table, its indexes, the commit records."""
    other = warehouse.session()
    try:
        return (
            other.query("select n from s.t")[1],
            other.query("select index_name from duckdb_indexes()")[1],
            other.query("select count(*) from dagster_models.commits")[1][0][0],
        )
    finally:
        other.close()


UNTOUCHED = ([("old",)], [("on_n",)], 0)
PUBLISHED = ([("new",)], [], 1)


def test_a_published_table(warehouse: DuckDB, session: WarehouseSession) -> None:
    outcome = run(session, TASK, Stop())
    assert (outcome.verdict, outcome.rows, outcome.error) == (Verdict.COMMITTED, 1, None)
    assert outcome.columns == (("n", "VARCHAR"),)
    assert outcome.started_at > 1e9
    assert outcome.seconds > 0
    assert held(warehouse) == PUBLISHED
    record = session.find_record("r", "s.t", 1)
    assert record is not None
    assert (record.relation, record.code_version, record.rows) == ("s.t", "v2", 1)
    assert record.input_versions == {"s.up": "v1"}
    assert Outcome.from_json(outcome.to_json()) == outcome


def test_a_published_view_has_no_rows(warehouse: DuckDB, session: WarehouseSession) -> None:
    outcome = run(session, replace(TASK, materialized="view"), Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, None)
    assert outcome.columns == (("n", "VARCHAR"),)
    assert held(warehouse) == PUBLISHED


def test_a_model_may_read_what_it_replaces(warehouse: DuckDB, session: WarehouseSession) -> None:
    outcome = run(session, replace(TASK, sql="select n || '!' as n from s.t"), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert held(warehouse)[0] == [("old!",)]


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "select nope"},
        {"sql": "select cast('x' as int) as n"},
        {"sql": "select 1 as n; commit"},
        {"sql": "select cast('x' as int) as n", "materialized": "view"},
        {"kind": "seed", "path": "nowhere.csv"},
        {"kind": "arrow", "path": "nowhere.arrow"},
        {"kind": "python"},
        {"relation": None},
        {"relation": Relation("no_such_schema", "t")},
    ],
)
def test_an_own_error_leaves_no_trace(
    warehouse: DuckDB, session: WarehouseSession, change: dict[str, Any]
) -> None:
    if change.get("materialized") == "view":  # binds, and fails only when it is read
        change = {**change, "checks": (CheckTask("c", "select * from s.t"),)}
    outcome = run(session, replace(TASK, **change), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert not session.in_transaction
    assert held(warehouse) == UNTOUCHED


def test_an_error_is_not_committed_by_the_next_task(
    warehouse: DuckDB, session: WarehouseSession
) -> None:
    run(session, replace(TASK, sql="select cast('x' as int)"), Stop())
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert held(warehouse) == PUBLISHED


def test_an_open_transaction_is_the_callers(warehouse: DuckDB, session: WarehouseSession) -> None:
    session.begin()
    session.execute("create table s.mine as select 1")
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind == "OpenTransaction"
    session.commit()
    assert held(warehouse) == UNTOUCHED
    assert session.query("select count(*) from s.mine")[1] == [(1,)]


# Checks ------------------------------------------------------------------------------------------


def test_a_failed_check_rolls_back_and_all_are_told(
    warehouse: DuckDB, session: WarehouseSession
) -> None:
    checks = (
        CheckTask("fine", "select * from s.t where n is null"),
        CheckTask("fails", "select * from s.t;"),
        CheckTask("warns", "select * from s.t", "warn"),
        CheckTask("fails_too", "from s.t where n = 'new' -- all"),
    )
    outcome = run(session, replace(TASK, checks=checks), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.kind == "CheckFailed"
    assert "fails: 1 offending row; fails_too: 1 offending row" in outcome.error.message
    assert [(c.name, c.passed, c.failures) for c in outcome.checks] == [
        ("fine", True, 0),
        ("fails", False, 1),
        ("warns", False, 1),
        ("fails_too", False, 1),
    ]
    assert held(warehouse) == UNTOUCHED


def test_a_warning_does_not_stop(warehouse: DuckDB, session: WarehouseSession) -> None:
    outcome = run(session, replace(TASK, checks=(CheckTask("w", "from s.t", "warn"),)), Stop())
    assert outcome.verdict is Verdict.COMMITTED
    assert [check.failures for check in outcome.checks] == [1]
    assert held(warehouse) == PUBLISHED


@pytest.mark.parametrize(
    "broken", ["select nope", "select cast(n as int) from s.t where n::int > 0"]
)
def test_a_check_that_cannot_run(warehouse: DuckDB, session: WarehouseSession, broken: str) -> None:
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
    warehouse: DuckDB, session: WarehouseSession
) -> None:
    outcome = run(session, replace(TASK, checks=(CheckTask("c", "select nope"),)), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert 'c: Binder Error: Referenced column "nope"' in outcome.error.message
    assert held(warehouse) == UNTOUCHED


# Stop --------------------------------------------------------------------------------------------


class Instrumented(DuckDBSession):
    """A real session that lets a test act at one point of a task."""

    def __init__(self, warehouse: DuckDB, **acts: Any) -> None:
        super().__init__(warehouse._connection.cursor())
        self._acts = acts
        self.interrupts = 0

    def _act(self, name: str) -> None:
        if name in self._acts:
            self._acts[name]()

    def columns(self, relation: Relation) -> tuple[tuple[str, str], ...]:
        self._act("before_columns")
        return super().columns(relation)

    def commit(self) -> None:
        self._act("before_commit")
        super().commit()
        self._act("after_commit")

    def rollback(self) -> None:
        self._act("before_rollback")
        super().rollback()

    def interrupt(self) -> None:
        self.interrupts += 1
        super().interrupt()


def test_stop_before_the_start(warehouse: DuckDB, session: WarehouseSession) -> None:
    stop = Stop()
    stop.ask(session.interrupt)
    assert run(session, TASK, stop).verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED


def test_stop_while_it_builds(warehouse: DuckDB, session: WarehouseSession) -> None:
    stop, done, outcomes = Stop(), threading.Event(), []

    def work() -> None:
        outcomes.append(run(session, replace(TASK, sql=ENDLESS), stop))
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.wait(0.02):
        stop.ask(session.interrupt)
    thread.join()
    assert outcomes[0].verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED


@pytest.mark.parametrize("checks", [(), (CheckTask("c", "select 1 where false"),)])
def test_stop_between_two_statements(warehouse: DuckDB, checks: tuple[CheckTask, ...]) -> None:
    stop = Stop()
    session = Instrumented(warehouse, before_columns=lambda: stop.ask(lambda: None))
    outcome = run(session, replace(TASK, checks=checks), stop)
    assert outcome.verdict is Verdict.CANCELED
    assert held(warehouse) == UNTOUCHED
    session.close()


def test_a_commit_that_wins_the_race_is_committed(warehouse: DuckDB) -> None:
    stop = Stop()
    session = Instrumented(warehouse, before_commit=lambda: stop.ask(session.interrupt))
    assert run(session, TASK, stop).verdict is Verdict.COMMITTED
    assert stop.is_set()
    assert session.interrupts == 0
    assert held(warehouse) == PUBLISHED
    session.close()


def test_a_rollback_is_not_interrupted(warehouse: DuckDB) -> None:
    stop = Stop()
    session = Instrumented(warehouse, before_rollback=lambda: stop.ask(session.interrupt))
    outcome = run(session, replace(TASK, sql="select cast('x' as int)"), stop)
    assert outcome.verdict is Verdict.ROLLED_BACK, "its own error came first"
    assert session.interrupts == 0
    session.close()


def test_an_interrupt_that_nobody_asked_for_is_no_cancel(
    warehouse: DuckDB, session: WarehouseSession
) -> None:
    done = threading.Event()

    def interrupt() -> None:
        while not done.wait(0.02):
            session.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    outcome = run(session, replace(TASK, sql=ENDLESS), Stop())
    done.set()
    thread.join()
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.transient


# COMMIT that errs --------------------------------------------------------------------------------


def fail() -> None:
    raise WarehouseError("IOException", "the wire broke")


def test_a_commit_that_errs_before_it_took_place(warehouse: DuckDB) -> None:
    session = Instrumented(warehouse, before_commit=fail)
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.message == "the wire broke"
    assert held(warehouse) == UNTOUCHED
    session.close()


def test_a_commit_that_errs_after_it_took_place(warehouse: DuckDB) -> None:
    session = Instrumented(warehouse, after_commit=fail)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert held(warehouse) == PUBLISHED
    session.close()


def test_a_commit_whose_record_cannot_be_read_is_in_doubt(
    warehouse: DuckDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Instrumented(warehouse, before_commit=fail)
    monkeypatch.setattr(Instrumented, "find_record", lambda *_: fail())
    with pytest.raises(WarehouseLost, match="cannot be read any more"):
        run(session, TASK, Stop())
    session.close()


# Conflicts ---------------------------------------------------------------------------------------


def test_a_write_conflict_is_tried_again(warehouse: DuckDB) -> None:
    other = warehouse.session()
    other.begin()
    other.create(Relation("s", "t"), "table", "select 'theirs' as n")
    # The other one gives way when the first try has lost.
    session = Instrumented(warehouse, before_rollback=other.rollback)
    assert run(session, TASK, Stop()).verdict is Verdict.COMMITTED
    assert held(warehouse) == PUBLISHED
    for one in (session, other):
        one.close()


def test_a_write_conflict_that_stays_is_transient(warehouse: DuckDB) -> None:
    other = warehouse.session()
    other.begin()
    other.create(Relation("s", "t"), "table", "select 'theirs' as n")
    tries: list[int] = []
    session = Instrumented(warehouse, before_rollback=lambda: tries.append(1))
    outcome = run(session, TASK, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.transient
    assert len(tries) == CONFLICT_RETRIES + 1
    other.commit()
    assert held(warehouse) == ([("theirs",)], [], 0)
    for one in (session, other):
        one.close()


# Other kinds -------------------------------------------------------------------------------------


def test_a_seed(warehouse: DuckDB, session: WarehouseSession, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,m\nnew,1\n")
    seed = replace(TASK, kind="seed", path=str(tmp_path / "t.csv"), column_types={"m": "DOUBLE"})
    outcome = run(session, seed, Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1)
    assert outcome.columns == (("n", "VARCHAR"), ("m", "DOUBLE"))
    assert held(warehouse) == PUBLISHED


def test_a_seed_with_a_bad_row_leaves_no_trace(
    warehouse: DuckDB, session: WarehouseSession, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("n,m\na,1\nb\n")
    outcome = run(session, replace(TASK, kind="seed", path=str(tmp_path / "t.csv")), Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.line == 3
    assert held(warehouse) == UNTOUCHED


def test_an_arrow_file(warehouse: DuckDB, session: WarehouseSession, tmp_path: Path) -> None:
    path, _ = session.export("select 'new' as n", [str(tmp_path)])
    arrow = replace(
        TASK, kind="arrow", path=path, checks=(CheckTask("c", "from s.t where n is null"),)
    )
    outcome = run(session, arrow, Stop())
    assert (outcome.verdict, outcome.rows) == (Verdict.COMMITTED, 1)
    assert held(warehouse) == PUBLISHED


def test_an_arrow_file_takes_the_place_of_a_view(
    warehouse: DuckDB, session: WarehouseSession, tmp_path: Path
) -> None:
    path, _ = session.export("select 'new' as n", [str(tmp_path)])
    session.execute("drop table if exists s.t; create view s.t as select 1 as x")
    assert run(session, replace(TASK, kind="arrow", path=path), Stop()).error is None
    assert held(warehouse) == PUBLISHED
