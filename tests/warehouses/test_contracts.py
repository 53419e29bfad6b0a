"""A contract is compared with what was built, in the warehouse's own words for types, before it is
published. The oracle is what the warehouse says of a table that somebody made by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.contracts import Contract, ContractColumn
from dagster_models.core.materializations import (
    Incremental,
    Materialization,
    Partitioned,
    Replace,
    Snapshot,
    View,
)
from dagster_models.core.messages import Outcome, Verdict
from dagster_models.core.tasks import (
    BuildTask,
    PythonTask,
    Query,
    task_from_json,
    task_to_json,
)
from dagster_models.core.windows import Partition, ValueWindow
from dagster_models.processes.server.attempt import Stop, run
from dagster_models.project.targets import usable_target
from dagster_models.util import arrow_files as bulk
from dagster_models.warehouses.base import WarehouseSession
from project_cases import make
from systems import System
from tasks import arrow_task, python_task, sql_task


def contract(**columns: str) -> Contract:
    return Contract(
        tuple(
            ContractColumn(name, type_, f"models/s/t.sql:{line}")
            for line, (name, type_) in enumerate(columns.items(), 4)
        ),
        "models/s/t.sql:2",
    )


def build(session: WarehouseSession, task: BuildTask, attempt: int = 1) -> Outcome:
    task = replace(task, attempt=attempt)
    sent = task_from_json(task_to_json(task))
    assert sent == task
    return run(session, task, Stop())


def rows(session: WarehouseSession, table: str = "s.t") -> list[tuple[Any, ...]]:
    return sorted(session.query(f"select * from {table}")[1], key=str)


QUERY = "select cast(1 as integer) as id, cast(1.5 as decimal(18, 2)) as amount"
RIGHT = contract(id="int4", amount="numeric(18, 2)")

KINDS: dict[str, Materialization] = {
    "table": Replace(),
    "view": View(),
    "merge": Incremental("merge", ("id",)),
    "append": Incremental("append"),
    "snapshot": Snapshot("check", ("id",)),
    "replace": Incremental(
        "replace", partitioned=Partitioned("id", (Partition("1", ValueWindow(("1",))),))
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_contract_is_published_and_a_broken_one_changes_nothing(
    system: System, session: WarehouseSession, kind: str
) -> None:
    task = replace(sql_task("s.t", QUERY), materialization=KINDS[kind], contract=RIGHT)
    assert build(session, task).error is None
    assert build(session, task, 2).error is None  # into a table that is there
    before = rows(session)
    proofs = session.find_proofs(task.relation)
    wrong = contract(id="bigint", amount="numeric(18, 3)", note="text")
    outcome = build(session, replace(task, contract=wrong), 3)
    assert outcome.verdict is Verdict.ROLLED_BACK
    assert outcome.error is not None
    assert outcome.error.name == "ContractBroken"
    assert rows(session) == before
    assert session.find_proofs(task.relation) == proofs
    number, whole = (
        ("DECIMAL(18,2)", "INTEGER") if system.name == "duckdb" else ("numeric(18,2)", "integer")
    )
    lines = [line.split() for line in outcome.error.message.splitlines()[1:5]]
    assert lines == [
        ["column", "contract", "relation", "declared", "at"],
        ["id", "bigint", whole, "models/s/t.sql:4"],
        ["amount", "numeric(18,", "3)", number, "models/s/t.sql:5"],
        ["note", "text", "(missing)", "models/s/t.sql:6"],
    ]


@pytest.mark.parametrize("kind", ["merge", "snapshot"])
def test_a_table_that_is_added_to_keeps_the_contract_as_a_whole(
    session: WarehouseSession, kind: str
) -> None:
    """The delta is right, and the table has a column of an older query."""
    how = replace(KINDS[kind], on_schema_change="append_new_columns")  # type: ignore[type-var]
    old = replace(sql_task("s.t", f"{QUERY}, 'x' as old"), materialization=how)
    assert build(session, old).error is None
    new = replace(sql_task("s.t", QUERY), materialization=how, contract=RIGHT)
    outcome = build(session, new, 2)
    assert outcome.error is not None
    (line,) = (it.split() for it in outcome.error.message.splitlines() if "  old " in it)
    assert line[:3] == ["old", "(not", "declared)"]
    assert line[-1] == "models/s/t.sql:2"


def test_the_columns_that_a_snapshot_adds_may_be_left_out_or_promised(
    session: WarehouseSession,
) -> None:
    task = replace(sql_task("s.t", QUERY), materialization=KINDS["snapshot"])
    said = contract(id="int", amount="numeric(18, 2)", valid_to="timestamp")
    assert build(session, replace(task, contract=said)).error is None
    said = contract(id="int", amount="numeric(18, 2)", valid_to="date")
    outcome = build(session, replace(task, contract=said), 2)
    assert outcome.error is not None
    assert "valid_to" in outcome.error.message
    assert "valid_from" not in outcome.error.message


WORDS = [
    *("int", "integer", "int4", "bigint", "int8", "smallint", "decimal", "numeric"),
    *("numeric(18, 3)", "decimal(18,2)", "numeric(10)", "numeric(10,0)", "text", "varchar"),
    *("character varying", "varchar(10)", "boolean", "bool", "date", "timestamp"),
    *("timestamp with time zone", "timestamptz", "double precision", "float8", "real", "float4"),
    *("uuid", "json", "int[]", "integer[]", "numeric(5,1)[]", '"odd one"', "s.mood"),
]
_SAID = (
    "select column_name, data_type, numeric_precision, numeric_scale, character_maximum_length"
    "{more} from information_schema.columns where table_schema = 's' and table_name = 'made'"
)
_MORE = {"duckdb": "", "postgres": ", udt_name, domain_name"}


def test_two_words_are_one_type_exactly_if_the_warehouse_says_so(
    system: System, session: WarehouseSession
) -> None:
    made = "enum ('a', 'b')"
    session.execute(f'create type s.mood as {made}; create type "odd one" as {made}')
    listed = ", ".join(f"c{at} {word}" for at, word in enumerate(WORDS))
    session.execute(f"create table s.made ({listed})")
    said = {row[0]: row[1:] for row in session.query(_SAID.format(more=_MORE[system.name]))[1]}
    assert len(said) == len(WORDS)
    # format_type and DESCRIBE, which the schema leaves out of an array: the digits of its elements.
    task = sql_task("s.t", "select * from s.made")
    for shift in (0, 1, 5, 11):
        words = WORDS[shift:] + WORDS[:shift]
        promised = contract(**{f"c{at}": word for at, word in enumerate(words)})
        outcome = build(session, replace(task, contract=promised), shift + 1)
        message = outcome.error.message if outcome.error else ""
        for at, word in enumerate(words):
            same = said[f"c{at}"] == said[f"c{WORDS.index(word)}"]
            refused = any(line.split()[:1] == [f"c{at}"] for line in message.splitlines())
            assert refused is not same or "[]" in WORDS[at], (WORDS[at], word, message)
    assert session.query("select count(*) from s.t")[1] == [(0,)]


def test_digits_of_an_array_count(session: WarehouseSession) -> None:
    task = sql_task("s.t", "select cast(null as numeric(5, 1)[]) as x")
    assert build(session, replace(task, contract=contract(x="decimal(5,1)[]"))).error is None
    assert build(session, replace(task, contract=contract(x="decimal(5,2)[]")), 2).error


def test_a_type_that_the_warehouse_does_not_know_is_named_with_its_place(
    session: WarehouseSession,
) -> None:
    promised = contract(id="int", amount="nonesuch")
    outcome = build(session, replace(sql_task("s.t", QUERY), contract=promised))
    assert outcome.error is not None
    assert "of `amount` (models/s/t.sql:5) `nonesuch`" in outcome.error.message
    assert build(session, replace(sql_task("s.t", QUERY), contract=RIGHT), 2).error is None


@pytest.mark.parametrize("name", ["ID", "Id"])
def test_a_column_is_found_in_any_case_if_there_is_one(
    system: System, session: WarehouseSession, name: str
) -> None:
    promised = contract(**{name: "int"})
    task = replace(sql_task("s.t", "select cast(1 as integer) as id"), contract=promised)
    assert build(session, task).error is None
    if system.name == "postgres":  # two columns there
        both = 'select cast(1 as integer) as "Id", cast(2 as integer) as id'
        task = replace(sql_task("s.t", both), contract=contract(Id="int", id="int"))
        assert build(session, task, 2).error is None
        task = replace(task, contract=contract(ID="int", id="int"))
        assert "Id" in str(build(session, task, 3).error)


def test_the_frame_of_a_python_model(session: WarehouseSession, tmp_path: Path) -> None:
    table = pa.table({"id": pa.array([1], pa.int64()), "note": ["x"]})
    path, _ = bulk.write([str(tmp_path)], table.schema, table.to_batches())
    promised = contract(id="bigint", note="text")
    of_python = python_task("s.t", "t.py", contract=promised)
    task = of_python.build_from(arrow_task("s.t", path).content)
    assert task.contract == promised
    assert build(session, task).error is None
    outcome = build(session, replace(task, contract=contract(id="int", note="text")), 2)
    assert "ContractBroken" in str(outcome.error)


def test_the_task_of_a_python_model_has_the_contract_of_its_header(tmp_path: Path) -> None:
    header = "@model\ncontract: true\ncolumns: {id: {type: bigint}}\n"
    model = f'"""\n{header}"""\n\n\ndef model(warehouse):\n    return None\n'
    project = make(tmp_path, {"models/s/t.py": model})
    (step,) = project.steps.values()
    task = task_for(TargetStep(project, step, usable_target(project)), "r", 1)
    assert isinstance(task, PythonTask)
    promised = Contract((ContractColumn("id", "bigint", "models/s/t.py:4"),), "models/s/t.py:1")
    assert task.contract == task.build_from(Query("select 1")).contract == promised


def test_breaches_of_every_pair_of_names() -> None:
    """What is missing and what is too much, beside sets of names."""
    from dagster_models.core.contracts import MISSING, NOT_DECLARED, breaches

    names = ("a", "b", "c")
    subsets = [set(some) for n in range(4) for some in itertools.combinations(names, n)]
    for declared, found in itertools.product(subsets, subsets):
        said = contract(**dict.fromkeys(sorted(declared), "int"))
        wrong = breaches(said, ["int"] * len(declared), [(it, "int") for it in sorted(found)])
        assert {it.name for it in wrong if it.found == MISSING} == declared - found
        assert {it.name for it in wrong if it.declared == NOT_DECLARED} == found - declared
