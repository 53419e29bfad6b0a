"""What a builder has left in a warehouse: what is its own, what is not, and how it is dropped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from dagster_models.core.materializations import Incremental
from dagster_models.core.messages import Verdict
from dagster_models.core.model import Relation
from dagster_models.errors import ErrorKind, WarehouseError
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from systems import System
from tasks import sql_task

Build = Callable[..., None]


@pytest.fixture
def build(session: WarehouseSession) -> Build:
    runs = iter(range(1000))

    def build(
        name: str, sql: str = "select 1 as n", builder: str = "shop", view: bool = False
    ) -> None:
        task = sql_task(name, sql, view=view, run_id=f"r{next(runs)}", builder=builder)
        outcome = run(session, task, Stop())
        assert outcome.verdict is Verdict.COMMITTED, outcome.error

    return build


def built(session: WarehouseSession, builder: str = "shop") -> dict[str, str]:
    """Relation -> why it is kept, of all that the builder has built."""
    return {str(each.relation): each.kept for each in session.built_by(builder)}


def there(system: System, session: WarehouseSession) -> set[str]:
    """What is really there, by the warehouse's own catalog."""
    return {f"{schema}.{name}" for schema, name, _ in session.query(system.relations)[1]}


def test_each_builder_has_its_own(session: WarehouseSession, build: Build) -> None:
    session.execute("create table s.somebody (n int)")
    build("s.t")
    build("s.v", "select n from s.t", view=True)
    build("s.dev", builder="shop/dev_")
    build("s.other", builder="books")
    build("s.moved")
    build("s.moved", "select 2 as n", builder="books")
    assert built(session) == {"s.t": "", "s.v": ""}
    assert built(session, "shop/dev_") == {"s.dev": ""}
    assert built(session, "books") == {"s.other": "", "s.moved": ""}
    assert built(session, "nobody") == {}
    assert [str(b.relation) for b in session.built_by("shop", ["s.t", "s.nope"])] == ["s.t"]


REPLACEMENTS = {
    "dropped and made": "drop table s.t; create table s.t as select 1 as n",
    "another kind": "drop table s.t; create view s.t as select 1 as n",
    "renamed away": "alter table s.t rename to old; create table s.t as select 1 as n",
    "written": "insert into s.t values (2)",
    "emptied": "delete from s.t",
}


@pytest.mark.parametrize("what", REPLACEMENTS)
def test_what_somebody_else_has_replaced_is_kept(
    system: System, session: WarehouseSession, build: Build, what: str
) -> None:
    build("s.t")
    session.execute(REPLACEMENTS[what])
    before = there(system, session)
    (why,) = built(session).values()
    assert ("replaced it" in why) or ("somebody has written to it" in why)
    with pytest.raises(WarehouseError, match=r"s\.t is kept") as caught:
        session.drop(Relation("s", "t"), "shop")
    assert caught.value.kind is ErrorKind.NOT_KEPT
    assert there(system, session) == before
    build("s.t", "select 3 as n")
    assert built(session) == {"s.t": ""}, "the model's next build makes it its own again"


def test_a_relation_under_another_name_is_not_ours(
    system: System, session: WarehouseSession, build: Build
) -> None:
    build("s.t")
    session.execute("alter table s.t rename to mine")
    assert built(session) == {}
    for name in ("t", "mine"):
        with pytest.raises(WarehouseError, match="is kept"):
            session.drop(Relation("s", name), "shop")
    assert there(system, session) == {"s.mine"}


@pytest.mark.parametrize("view", [False, True])
def test_what_is_ours_is_dropped(
    system: System, session: WarehouseSession, build: Build, view: bool
) -> None:
    build("s.old", view=view)
    build("s.old", "select 2 as n", view=view)
    build("s.t")
    with pytest.raises(WarehouseError, match="shop/dev_ has not built it"):
        session.drop(Relation("s", "old"), "shop/dev_")
    session.drop(Relation("s", "old"), "shop")
    assert there(system, session) == {"s.t"}
    assert built(session) == {"s.t": ""}
    assert not session.in_transaction


def test_an_incremental_table_stays_ours(session: WarehouseSession, build: Build) -> None:
    how = Incremental("append")
    for number in range(2):
        task = sql_task("s.t", f"select {number} as n", run_id=f"i{number}", builder="shop")
        outcome = run(session, replace(task, materialization=how), Stop())
        assert outcome.verdict is Verdict.COMMITTED, outcome.error
        assert built(session) == {"s.t": ""}


def test_what_others_read_is_kept(system: System, session: WarehouseSession, build: Build) -> None:
    build("s.old")
    session.execute("create view s.theirs as select n from s.old")
    with pytest.raises(WarehouseError, match="theirs"):
        session.drop(Relation("s", "old"), "shop")
    assert session.query("select n from s.theirs")[1] == [(1,)]
    session.execute("drop view s.theirs")
    session.drop(Relation("s", "old"), "shop")
    assert there(system, session) == set()


def test_a_drop_has_a_transaction_of_its_own(session: WarehouseSession, build: Build) -> None:
    build("s.old")
    session.begin()
    with pytest.raises(WarehouseError):
        session.drop(Relation("s", "old"), "shop")
    session.rollback()
    assert built(session) == {"s.old": ""}


def test_names_of_any_kind(session: WarehouseSession, build: Build) -> None:
    names = ['a "b" c', "x%s", "o'x", "Größe", "select"]
    for name in names:
        task = sql_task("s.t", "select 1 as n", run_id=name, builder="it's (a)")
        outcome = run(session, replace(task, relation=Relation("s", name)), Stop())
        assert outcome.verdict is Verdict.COMMITTED, outcome.error
    assert set(built(session, "it's (a)")) == {f"s.{name}" for name in names}
    for name in names:
        session.drop(Relation("s", name), "it's (a)")
    assert built(session, "it's (a)") == {}


def test_a_reader_of_a_leftover_fails(session: WarehouseSession, build: Build) -> None:
    """It would read the old rows, and succeed, for ever."""
    build("s.old")
    session.execute("create table s.raw as select 1 as n")
    reads = {"s.old": 2, "s.raw": 3, "main.nope": 4}
    task = replace(sql_task("s.t", "select n\nfrom s.old", builder="shop"), undeclared=reads)
    outcome = run(session, task, Stop())
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert (outcome.error.kind, outcome.error.line) == (ErrorKind.MISSING_RELATION, 2)
    assert "is what the model s.old left when it was last built" in outcome.error.message
    other = run(session, replace(task, builder="books"), Stop())
    assert other.verdict is Verdict.COMMITTED, "another project may read it without more ado"
    session.execute("drop table s.old; create table s.old as select 7 as n")
    again = run(session, replace(task, attempt=2), Stop())
    assert again.verdict is Verdict.COMMITTED, "somebody else keeps it up to date now"


def test_a_table_of_before_has_no_builder(session: WarehouseSession) -> None:
    task = sql_task("s.t", "select 1 as n")
    assert run(session, task, Stop()).verdict is Verdict.COMMITTED
    assert built(session) == {}
