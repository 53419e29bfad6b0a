"""``on_code_change: full_refresh``: the first run after a change builds all of the table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from running import Project, RunReport, make_project

pytestmark = pytest.mark.slow

HEADER = "materialized: incremental\non_code_change: full_refresh\n"
DAYS = f"/* @model\n{HEADER}partitions: {{of: daily, by: day}}\nbatch: 1\n*/\n"
PYTHON = f'"""\n@model\n{HEADER}partitions: {{of: daily, by: day}}\n"""\ndef model(warehouse):\n'
KEYED = f"/* @model\n{HEADER}unique_key: day\nsince: day\n*/\n"
SETTINGS = "partitions: {daily: {every: day, start: 2024-01-01, end: 2024-02-01}}\n"
NAMES = ("days", "in_python", "keyed")


def models(value: int) -> dict[str, str]:
    query = f"select day, {value} as v from raw.days"
    return {
        "models/days.sql": DAYS + query,
        "models/in_python.py": f'{PYTHON}    return warehouse.sql("{query}").arrow()\n',
        "models/keyed.sql": f"{KEYED}{query} where day > /*$since*/ date '2020-01-01'",
    }


def run(project: Project, *days: int) -> RunReport:
    start, end = (f"2024-01-{day:02}" for day in (days[0], days[-1]))
    tag = "dagster/asset_partition_range"
    tags = json.dumps({f"{tag}_start": start, f"{tag}_end": end})
    command = [*project.command(), "--tags", tags]
    done = subprocess.run(
        command, cwd=project.root, env=project.env, capture_output=True, text=True, check=False
    )
    return project.report(done.returncode, done.stdout, done.stderr)


def test_the_first_run_after_a_change_builds_all_of_the_table(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, tables: [days]}]"
    project = make_project(tmp_path, {"models/sources.yaml": sources, **models(1)}, SETTINGS)
    with project.warehouse() as session:
        session.execute(
            "create schema raw; create table raw.days as"
            " select date '2024-01-01' + i::int as day from range(5) t(i)"
        )

    def tables() -> dict[str, list[Any]]:
        query = "select day(day), v from main.{} order by 1"
        return {name: project.rows(query.format(name)) for name in NAMES}

    def kinds() -> list[Any]:
        query = "select count(*) filter (kind = 'whole') from dagster_models.commits group by step"
        return sorted(kind for (kind,) in project.rows(query))

    assert "on_code_change" not in (ran := run(project, 1, 2)).stdout, ran.stdout
    assert ran.code == 0, ran.stdout + ran.stderr
    first = [(1, 1), (2, 1)]
    assert tables() == {"days": first, "in_python": first, "keyed": [(n, 1) for n in range(1, 6)]}
    project.write(models(2))
    ran = run(project, 2, 3)
    assert ran.code == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("is built in full, as its code has changed (on_code_change)") == 3
    assert tables() == {name: [(n, 2) for n in range(1, 6)] for name in NAMES}
    assert kinds() == [1, 1, 2]
    assert "on_code_change" not in run(project, 3, 4).stdout
    assert kinds() == [1, 1, 2], "once for each change"
