"""Each kind of check on real warehouses finds what Python counts, in random rows with NULLs."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from check_oracles import MAKERS, TYPES, Row, random_rows, rows_sql
from dagster_models.compilation.checks.task import check_task
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.model import Key, Project, Relation, Target
from dagster_models.core.tasks import ChecksTask, task_from_json, task_to_json
from dagster_models.processes.server.attempt import Stop, run_checks
from dagster_models.project.checks.kinds import KINDS
from dagster_models.warehouses.base import WarehouseSession
from project_cases import load, write_project
from systems import NAMES, System

ROUNDS = int(os.environ.get("DAGSTER_MODELS_HISTORIES", "4"))
OWN, WHERE = Relation("s", "t"), "g < 2 -- and not NULL"


def project_with(folder: Path, checks: list[Any], dialect: str = "duckdb", **more: str) -> Project:
    columns = {name: {"type": type_} for name, type_ in TYPES.items()}
    sources = [
        {"name": "s", "tables": [{"name": n, "columns": columns} for n in ("rows_of_t", "others")]}
    ]
    header = yaml.safe_dump({"materialized": "table", "checks": checks})
    files = {
        "dagster_models.yaml": f"name: p\ndialect: {dialect}\nvars: {{zero: 0}}\n",
        "models/s/t.sql": f"/* @model\n{header}*/\nselect * from s.rows_of_t",
        "models/sources.yaml": yaml.safe_dump({"sources": sources}),
        **more,
    }
    return load(write_project(folder, files), environ={})


def tasks_of(project: Project, system: System) -> list[CheckTask]:
    step = project.steps[Key("s", "t")]
    target = Target("x", system.address.type)
    return [check_task(project, step, check, target) for check in step.checks]


def fill(session: WarehouseSession, system: System, rows: list[Row], others: list[Row]) -> None:
    columns = ", ".join(
        f"{session.quote(name)} {system.type_of(type_.upper()) if type_.isalpha() else type_}"
        for name, type_ in TYPES.items()
    )
    for table, given in (("t", rows), ("others", others)):
        session.execute(f"drop table if exists s.{table}; create table s.{table} ({columns})")
        if given:
            session.execute(f"insert into s.{table} values {rows_sql(given)}")


def in_scope(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["g"] is not None and row["g"] < 2]


@pytest.mark.parametrize("system", [*NAMES, "mariadb"], indirect=True)
def test_each_kind_finds_what_python_counts(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    undecided = 0  # rows for which the condition of `where` is NULL
    seen: set[str] = set()
    found_some: set[str] = set()
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        rows, others = random_rows(rng), random_rows(rng)
        if rng.random() < 0.4:
            others = [*rows[1:], *rows[:1]]
        undecided += sum(row["g"] is None for row in rows)
        made = [(make(rng), rng.random() < 0.4) for make in MAKERS for _ in range(4)]
        declared = [
            {it.kind: {"name": f"c{n}", **it.arguments, **({"where": WHERE} if where else {})}}
            for n, (it, where) in enumerate(made)
        ]
        project = project_with(tmp_path / str(seed), declared, system.address.type.dialect)
        assert project.warnings == ()
        fill(session, system, rows, others)
        tasks = tasks_of(project, system)
        outcome = run_checks(session, ChecksTask("r", "s.t", 1, OWN, tuple(tasks)), Stop())
        expected = [it.failures(in_scope(rows) if where else rows, others) for it, where in made]
        wrong = [
            (written, result.error and result.error.message, result.failures, number, result.found)
            for written, result, number in zip(declared, outcome.checks, expected, strict=True)
            if result.error is not None or result.failures != number
        ]
        assert wrong == [], seed
        for task, number in zip(tasks, expected, strict=True):
            apart = _counted_apart(session, task)
            assert apart == number, (seed, task.name, "by its own query")
        seen |= {it.kind for it, _ in made}
        found_some |= {it.kind for (it, _), number in zip(made, expected, strict=True) if number}
    assert undecided > 5
    untested = {"recency", "stddev", "anomaly"}  # tested below, and with the history of an asset
    assert seen | untested >= set(KINDS)
    assert found_some | untested >= set(KINDS), "each kind must have found something"


def _counted_apart(session: WarehouseSession, task: CheckTask) -> int:
    columns, own = list(map(session.quote, task.columns)), session.quoted(OWN)
    task = task.with_others([session.quote(name) for it in task.others for name in it.columns])
    sql = task.sql
    if task.alike:
        ((alike,),) = session.read(task.sent(task.alike, own, columns))[1]
        sql = task.sql if alike else task.across
    return session.count(task.sent(sql, own, columns))


def outcomes_of(
    session: WarehouseSession, system: System, folder: Path, checks: list[Any], **files: str
) -> list[tuple[int, str]]:
    """The failures of checks of s.t, each with its error, "" for none."""
    project = project_with(folder, checks, system.address.type.dialect, **files)
    tasks = tuple(tasks_of(project, system))
    outcome = run_checks(session, ChecksTask("r", "s.t", 1, OWN, tasks), Stop())
    return [(it.failures, it.error.message if it.error else "") for it in outcome.checks]


LATE = """/* @check
arguments:
  least: number
  column: column
  keys: {type: columns, default: [g, n]}
  other: {type: relation, default: others}
  words: {type: values, default: [a, b]}
description: Too few.
*/
select $keys, count(*) as n_rows
from $this
where $column < $least and g in (select g from $other) and s = any($words) and n >= $zero
group by $keys
"""


def test_a_query_with_arguments(system: System, session: WarehouseSession, tmp_path: Path) -> None:
    rows = [
        dict.fromkeys(TYPES) | {"g": g, "n": n, "amount": amount, "s": s}
        for g, n, amount, s in [
            (0, 1, "0.50", "a"),
            (0, 1, "0.75", "b"),
            (0, 2, "2.00", "a"),
            (1, 1, "0.25", "c"),
            (2, 1, "0.25", "a"),
            (1, -1, "0.25", "a"),
            (1, 4, "0.25", "a"),
        ]
    ]
    fill(session, system, rows, [row for row in rows if row["g"] != 2])
    of_c = {"least": 1.25, "column": "n", "words": ["a", "c"], "where": "s <> 'a'"}
    checks: list[Any] = [
        {"late": {"least": 1, "column": "amount"}},
        {"late": {"name": "one_key", "least": 1, "column": "amount", "keys": ["s"]}},
        {"late": {"name": "of_c", **of_c}},
        {"late": {"name": "itself", "least": 1, "column": "amount", "other": "t"}},
    ]
    found = outcomes_of(session, system, tmp_path, checks, **{"checks/late.sql": LATE})
    assert found == [(2, ""), (2, ""), (1, ""), (3, "")]


#: value, its type, the check, whether the row offends; "error" where the query must fail.
EXACT = [
    ("9007199254740993", "bigint", "range: {max: 9007199254740992}", True),
    ("9007199254740993", "bigint", "range: {max: 9007199254740993}", False),
    ("1", "integer", "range: {min: 1.4}", True),
    ("2", "smallint", "range: {min: 1.4}", False),
    ("0.1", "real", "range: {min: 0.1, max: 0.1}", False),
    ("0.1", "double precision", "range: {min: 0.1, max: 0.1}", False),
    ("0.3", "decimal(9, 2)", "range: {max: 0.2999}", True),
    ("'NaN'", "double precision", "range: {max: 1.0e+300}", True),
    ("1", "real", "range: {min: 1.0e-300, max: 1.0e+300}", False),
    ("'10'", "varchar", "range: {min: 9}", "error"),
    ("'2024-01-01'", "varchar", "range: {min: 2023-01-01}", "error"),
    ("'b'", "varchar", "range: {min: a, max: c}", False),
    ("'2024-01-01'", "date", "range: {min: 2024-01-01, max: 2024-01-01 00:00:00}", False),
    ("'2024-01-01'", "date", "range: {min: 2024-01-01 00:00:01}", True),
    ("'2024-01-01 01:00:00+02'", "timestamptz", "range: {min: 2024-01-01}", True),
    ("'2024-01-01 01:00:00+01'", "timestamptz", "range: {min: 2024-01-01}", False),
    ("'2024-01-01 00:30:00'", "timestamp", "range: {min: 2024-01-01 01:00:00+02:00}", False),
    ("'2023-12-31 22:30:00'", "timestamp", "range: {min: 2024-01-01 01:00:00+02:00}", True),
    ("1", "integer", "length: {max: 3}", "error"),
    ("1", "integer", "regex: a", "error"),
    ("'É🤦'", "varchar", "length: {equals: 2}", False),
    ("'127'", "varchar", "rejected_values: [127]", True),
    ("'0127'", "varchar", "rejected_values: [127]", False),
    ("'a\\b'", "varchar", "regex: '^a\\\\b$'", False),
    ("'x'", "varchar", "regex: '[[:alpha:]]'", False),
    ("'it''s'", "varchar", 'regex: "^it\'s$"', False),
    ("127", "integer", "mean: {min: 127, max: 127}", False),
    ("9007199254740993", "bigint", "mean: {max: 9007199254740992}", True),
    ("9007199254740993", "bigint", "sum: {max: 9007199254740992}", True),
    ("9007199254740993", "bigint", "quantile: {at: 0.5, max: 9007199254740992}", True),
    ("9007199254740993", "bigint", "minimum: {max: 9007199254740992}", True),
    ("'2024-01-01'", "date", "maximum: {max: 2023-12-31}", True),
    ("1", "integer", "stddev: {min: 0}", False),
    ("'2024-01-01 00:00:00+02'", "timestamptz", "recency: 1d", True),
    ("now()", "timestamptz", "recency: 1d", False),
    ("timezone('UTC', now())", "timestamp", "recency: 1m", False),
    ("timezone('Asia/Tokyo', now())", "timestamp", "recency: 2h", False),
    ("timezone('America/New_York', now())", "timestamp", "recency: 2h", True),
    ("now() - interval '25 hours'", "timestamptz", "recency: 1d", True),
    ("now() - interval '10 days'", "date", "recency: 1 week", True),
    ("now() - interval '2 days'", "date", "recency: 1 week", False),
    ("null", "date", "recency: 1 week", True),
    ("'2024-01-01'", "varchar", "recency: 1 week", "error"),
    ("20240101", "integer", "recency: 1 week", "error"),
]


def test_values_are_compared_as_what_they_are(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    """In a session of another time zone too."""
    session.execute(
        "set time zone 'Asia/Tokyo'" if system.name == "postgres" else "set timezone = 'Asia/Tokyo'"
    )
    headers = {
        f"c{number}": {"columns": {"v": {"checks": [yaml.safe_load(check)]}}}
        for number, (_, _, check, _) in enumerate(EXACT)
    }
    files = {
        f"models/s/{name}.sql": f"/* @model\n{yaml.safe_dump(header)}*/\nselect v from s.raw"
        for name, header in headers.items()
    }
    project = load(write_project(tmp_path, files), environ={})
    wrong = []
    for name, (value, type_, written, expected) in zip(headers, EXACT, strict=True):
        session.execute("drop table if exists s.t")
        session.execute(f"create table s.t as select cast({value} as {type_}) as v")
        step = project.steps[Key("s", name)]
        task = check_task(project, step, step.checks[0], Target("x", system.address.type))
        ((it),) = run_checks(session, ChecksTask("r", name, 1, OWN, (task,)), Stop()).checks
        found: bool | str = "error" if it.error else bool(it.failures)
        if found != expected:
            wrong.append((value, type_, written, expected, found, it.error and it.error.message))
    assert wrong == []


def test_columns_of_other_relations_keep_their_case(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    """As a frame's or a quoted name's do, whatever the spelling in YAML is."""
    to_id = "columns: {id: {checks: [{relationships: {to: s.%s, field: iD}}]}}"
    equal = "checks: [{equality: {to: s.parent, columns: [Name, b]}}]"
    inline = """select 1 as "Id", 'x' as "Name", 2 as b"""
    checks = {
        "kid": (to_id % "parent", "select 1 as id"),
        "orphan": (to_id % "parent", "select 3 as id"),
        "of_ephemeral": (to_id % "inlined", "select 1 as id"),
        "same": (equal, """select 'x' as "Name", 2 as b"""),
        "different": (equal, """select 'y' as "NAME", 2 as b"""),
        "moved": (to_id.replace("id:", "ID:") % "reader", 'select 1 as "Id"'),
    }
    files = {
        f"models/s/{name}.sql": f"/* @model\n{header}\n*/\n{sql}"
        for name, (header, sql) in checks.items()
    }
    files |= {
        "dagster_models.yaml": f"name: p\ndialect: {system.address.type.dialect}\n",
        "models/s/parent.py": f"def model(warehouse):\n    return warehouse.sql({inline!r})\n",
        "models/s/inlined.sql": f"/* @model materialized: ephemeral */\n{inline}",
        "models/s/reader.sql": "select * from s.moved",
    }
    project = load(write_project(tmp_path, files), environ={})
    session.execute("drop schema if exists s cascade; create schema s")
    session.execute(f"create table s.parent as {inline}")
    session.execute('create table s.reader as select 1 as "iD"')
    for name, (_, sql) in checks.items():
        session.execute(f"create table s.{name} as {sql}")
    found = {}
    for step in project.steps.values():
        for check in step.checks:
            task = check_task(project, step, check, Target("x", system.address.type))
            own = Relation("s", step.key.name)
            request = ChecksTask("r", str(step.key), 1, own, (task,))
            assert task_from_json(json.loads(json.dumps(task_to_json(request)))) == request
            (it,) = run_checks(session, request, Stop()).checks
            assert it.error is None, (check, it.error)
            assert session.count(it.query) == it.failures, it.query
            found[(step.key.name, check.model.name)] = it.failures
    assert found == {
        ("kid", "kid"): 0,
        ("orphan", "orphan"): 1,
        ("of_ephemeral", "of_ephemeral"): 0,
        ("same", "same"): 0,
        ("different", "different"): 2,
        ("reader", "moved"): 0,
    }
