"""Each kind of check on real warehouses finds what Python counts, in random rows with NULLs."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import yaml

from check_oracles import MAKERS, TYPES, Row, random_rows, table_of
from dagster_models.compilation.checks.task import check_task
from dagster_models.core.check_tasks import CheckTask
from dagster_models.core.model import Key, Project, Relation, Target
from dagster_models.core.tasks import ChecksTask
from dagster_models.processes.server.attempt import Stop, run_checks
from dagster_models.project.checks.kinds import KINDS
from dagster_models.warehouses.base import WarehouseSession
from project_cases import load, write_project
from systems import System

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


def fill(session: WarehouseSession, rows: list[Row], others: list[Row]) -> None:
    session.execute("drop table if exists s.t; drop table if exists s.others")
    session.execute(f"create table s.t as {table_of(rows)}")
    session.execute(f"create table s.others as {table_of(others)}")


def in_scope(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["g"] is not None and row["g"] < 2]


def test_each_kind_finds_what_python_counts(
    system: System, session: WarehouseSession, tmp_path: Path
) -> None:
    seen: set[str] = set()
    found_some: set[str] = set()
    for seed in range(ROUNDS):
        rng = random.Random(seed)
        rows, others = random_rows(rng), random_rows(rng)
        if rng.random() < 0.4:
            others = [*rows[1:], *rows[:1]]
        made = [(make(rng), rng.random() < 0.4) for make in MAKERS for _ in range(4)]
        declared = [
            {it.kind: {"name": f"c{n}", **it.arguments, **({"where": WHERE} if where else {})}}
            for n, (it, where) in enumerate(made)
        ]
        project = project_with(tmp_path / str(seed), declared, system.address.type.dialect)
        assert project.warnings == ()
        fill(session, rows, others)
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
    untested = {"recency", "stddev"}
    assert seen | untested >= set(KINDS)
    assert found_some | untested >= set(KINDS), "each kind must have found something"


def _counted_apart(session: WarehouseSession, task: CheckTask) -> int:
    columns = [f'"{column}"' for column in task.columns]
    sql = task.sql
    if task.alike:
        ((alike,),) = session.query(task.sent(task.alike, '"s"."t"', columns))[1]
        sql = task.sql if alike else task.across
    return session.count(task.sent(sql, '"s"."t"', columns))
