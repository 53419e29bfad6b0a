"""`relationships` on real warehouses: a value has a parent only if it is exactly one of its values.

A case is a value and its type, the parent's value and type, and whether the value has a parent.
"""

from __future__ import annotations

from dagster_models.compilation.checks.relationships import are_alike, orphans, orphans_across_types
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.model import Relation
from dagster_models.core.stand_ins import OWN_COLUMN, OWN_RELATION
from dagster_models.core.tasks import BuildTask, Query, task_from_json, task_to_json
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.warehouses.base import WarehouseSession
from systems import System

EVERYWHERE = [
    ("'01'", "varchar", "1", "integer", False),
    ("'1'", "varchar", "1", "integer", True),
    ("'x'", "varchar", "1", "integer", False),
    ("7", "integer", "'007'", "varchar", False),
    ("7", "bigint", "7", "smallint", True),
    ("1.4", "decimal(9, 1)", "1", "integer", False),
    ("1.00", "decimal(9, 2)", "1", "integer", True),
    ("9007199254740992", "double precision", "9007199254740993", "bigint", False),
    ("9007199254740992", "double precision", "9007199254740992", "bigint", True),
    ("1e16", "double precision", "10000000000000000", "bigint", True),
    ("'-0'", "double precision", "0", "bigint", True),
    ("0.5", "real", "0.5", "decimal(9, 3)", True),
    ("16777216", "real", "16777217", "integer", False),
    ("true", "boolean", "1", "integer", False),
    ("'2024-01-01 10:00:00'", "timestamp", "'2024-01-01'", "date", False),
    ("'2024-01-01 00:00:00'", "timestamp", "'2024-01-01'", "date", True),
    ("'2024-01-01'", "varchar", "'2024-01-01'", "date", True),
    ("'2024-1-1'", "varchar", "'2024-01-01'", "date", False),
    ("'abc'", "varchar", "'ABC'", "varchar", False),
    ("null", "integer", "'1'", "varchar", True),
]
ONLY = {
    "duckdb": [
        ("'a'", "enum('a', 'b')", "'a'", "varchar", True),
        ("1", "hugeint", "1", "utinyint", True),
    ],
    "postgres": [
        ("'ab'", "char(5)", "'ab'", "varchar(9)", True),
        ("'1 month'", "interval", "'30 days'", "interval", True),  # of one type: as the server says
        ("1.50", "numeric", "1.5", "double precision", True),
        ("1", "percent", "1", "integer", True),
    ],
}


def test_a_value_has_a_parent_only_if_it_is_exactly_that(
    system: System, session: WarehouseSession
) -> None:
    forms = system.address.type.value_forms
    columns = ("s.child", "v", "s.parent", "f")

    def has_parent() -> bool:
        ((alike,),) = session.query(are_alike(forms, *columns))[1]
        ask = orphans(*columns) if alike else orphans_across_types(forms, *columns)
        return not session.count(ask)

    session.prepare(["s"])
    if system.name == "postgres":
        session.execute("create domain percent as numeric(5, 2)")
    wrong = []
    for value, type_, of_parent, type_of_parent, expected in EVERYWHERE + ONLY[system.name]:
        session.execute(
            "drop table if exists s.child; drop table if exists s.parent;"
            f"create table s.child as select cast({value} as {type_}) as v;"
            f"create table s.parent as select cast({of_parent} as {type_of_parent}) as f"
        )
        if has_parent() is not expected:
            wrong.append((value, type_, of_parent, type_of_parent, not expected))
        session.execute("delete from s.child")
        assert has_parent(), "the types are known without rows too"
    assert wrong == []


def test_a_build_asks_how_its_column_compares(system: System, session: WarehouseSession) -> None:
    forms = system.address.type.value_forms
    session.prepare(["s"])
    session.execute("create table s.parent as select 1 as f")
    columns = (OWN_RELATION, OWN_COLUMN, "s.parent", "f")
    sql = (orphans(*columns), "error", ("v",), are_alike(forms, *columns))
    check = CheckTask("c", *sql, orphans_across_types(forms, *columns))
    verdicts = []
    for value in ("1", "'1'", "'01'", "2"):
        content = Query(f"select {value} as v")
        task = BuildTask("run", "s.t", 1, Relation("s", "t"), content, checks=(check,))
        assert task_from_json(task_to_json(task)) == task
        outcome = run(session, task, Stop())
        assert outcome.checks[0].error is None
        verdicts.append(outcome.verdict.name)
    assert verdicts == ["COMMITTED", "COMMITTED", "ROLLED_BACK", "ROLLED_BACK"]
