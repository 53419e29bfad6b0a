"""models_executor in real runs: what it runs, and what Dagster gets to know."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dagster import DagsterInstance

from running import IN_PROCESS, logs_of, make_project

pytestmark = pytest.mark.slow


PYTHON = '''
"""
@model
description: two rows
"""
import os, sys
import pandas as pd

def model(warehouse):
    print("working in", os.getpid())
    print("careful", file=sys.stderr)
    n = warehouse.sql("select n from alpha").fetchall()[0][0]
    return pd.DataFrame({"n": [n, n + 1]})
'''


SCRIPT = """
from dagster_models import warehouse
rows = warehouse.table("beta").fetchall()
print("beta has", len(rows), "rows")
"""


def test_python_models_and_scripts(tmp_path: Path) -> None:
    files = {
        "models/alpha.sql": "select 1 as n",
        "models/beta.py": PYTHON,
        "models/gamma.sql": "select sum(n) as n from beta",
        "scripts/count.py": SCRIPT,
    }
    project = make_project(tmp_path, files)
    report = project.run()
    assert report.code == 0, report.stdout + report.stderr
    assert "Found 3 models, 1 script" in report.stdout
    assert project.rows("select n from main.gamma") == [(3,)]
    stdout, stderr = logs_of(project, "main__beta")
    assert stdout.startswith("working in ")
    assert stderr == "careful\n"
    assert logs_of(project, "scripts__count")[0] == "beta has 2 rows\n"
    (line,) = [line for line in report.stdout.splitlines() if line.endswith("beta has 2 rows")]
    assert "scripts.count" in line


def test_python_steps_run_in_parallel_and_each_has_its_own_output(tmp_path: Path) -> None:
    # Each waits until the other has started: one after the other, they would never end.
    meet = "\n".join(
        [
            "import os",
            "with open({mine!r}, {mode_mine!r}) as a, open({other!r}, {mode_other!r}) as b: pass",
            "for i in range(200): print({name!r}, i)",
        ]
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    os.mkfifo(one)
    os.mkfifo(two)
    scripts = {
        "scripts/first.py": meet.format(
            mine=one, mode_mine="w", other=two, mode_other="r", name="first"
        ),
        "scripts/second.py": meet.format(
            mine=one, mode_mine="r", other=two, mode_other="w", name="second"
        ),
    }
    project = make_project(tmp_path, {"models/alpha.sql": "select 1 as n", **scripts})
    report = project.run({"max_concurrent": 2})
    assert report.code == 0, report.stdout + report.stderr
    for name in ("first", "second"):
        assert logs_of(project, f"scripts__{name}")[0].split() == [
            word for i in range(200) for word in (name, str(i))
        ]


def test_under_dagsters_own_executor_the_asset_runs_its_step_itself(tmp_path: Path) -> None:
    files = {"models/alpha.sql": "select 1 as n", "models/beta.py": PYTHON}
    project = make_project(tmp_path, files)
    project.write({"definitions.py": IN_PROCESS})
    report = project.run()
    assert report.code == 0, report.stderr[-3000:]
    assert project.rows("select count(*) from main.beta") == [(2,)]


def test_a_schema_with_the_name_of_the_database(tmp_path: Path) -> None:
    """`test.alpha` in test.duckdb: DuckDB cannot tell the schema from the catalog."""
    files = {
        "models/test/alpha.sql": "select 1 as n",
        "models/test/beta.sql": "select test.alpha.n from test.alpha",
        "models/test/gamma.sql": "/* @model\nmaterialized: view\n*/\nselect n from beta",
    }
    project = make_project(tmp_path, files)
    report = project.run()
    assert report.code == 0, report.stdout
    assert project.rows("select n from test.test.gamma") == [(1,)]


def test_files_in_sql_are_found_from_the_projects_folder(tmp_path: Path) -> None:
    files = {
        "data/rows.csv": "n\n1\n2\n",
        "models/by_name.sql": "select n from 'data/rows.csv'",
        "models/by_function.sql": "select sum(n) as n from read_csv('data/rows.csv')",
        "models/in_python.py": "def model(warehouse):\n"
        "    return warehouse.sql(\"select n + 1 as n from 'data/rows.csv'\")\n",
    }
    project = make_project(tmp_path, files)
    report = project.run()
    assert report.code == 0, report.stdout
    assert project.rows("select n from by_function") == [(3,)]


def test_a_date_among_the_variables(tmp_path: Path) -> None:
    files = {
        "models/alpha.sql": "select $since as since",
        "models/beta.py": "def model(warehouse): return warehouse.table('alpha')\n",
    }
    project = make_project(tmp_path, files, "vars: {since: 2024-01-31}\n")
    report = project.run()
    assert report.code == 0, report.stdout
    assert [str(row[0]) for row in project.rows("select since from beta")] == ["2024-01-31"]


def test_dagster_knows_duration_rows_columns_and_versions(tmp_path: Path) -> None:
    slow = "select count(*) as n, 'x' as s from range(60000000) t(i) where hash(i) <> 0"
    project = make_project(
        tmp_path, {"models/alpha.sql": slow, "models/beta.sql": "select n from alpha"}
    )
    report = project.run()
    assert report.journal is not None
    with DagsterInstance.from_config(str(project.home)) as instance:
        (run,) = instance.get_runs(limit=1)
        events = [e.dagster_event for e in instance.all_logs(run.run_id) if e.dagster_event]
    by_type = {(e.event_type_value, e.step_key): e for e in events}
    (alpha,) = [step for step in report.journal.steps if step.step == "main.alpha"]
    assert alpha.seconds > 0.02
    success = by_type["STEP_SUCCESS", "main__alpha"]
    # Dagster's own timer would only see how long it took to write the events down.
    assert success.step_success_data.duration_ms / 1000 >= alpha.seconds
    published = by_type["ASSET_MATERIALIZATION", "main__alpha"].materialization
    assert published.metadata["dagster/row_count"].value == 1
    schema = published.metadata["dagster/column_schema"].value
    assert [(column.name, column.type) for column in schema.columns] == [
        ("n", "BIGINT"),
        ("s", "VARCHAR"),
    ]
    assert published.metadata["dagster_models/relation"].value == "main.alpha"
    assert "60000000" in published.metadata["dagster_models/compiled_sql"].value
    assert not by_type["STEP_OUTPUT", "main__alpha"].event_specific_data.metadata  # not twice
    tags = published.tags
    assert tags["dagster/code_version"] == alpha.code_version
    below = by_type["ASSET_MATERIALIZATION", "main__beta"].materialization.tags
    assert below["dagster/input_data_version/main/alpha"] == tags["dagster/data_version"]


def test_a_table_reads_its_own_previous_version(tmp_path: Path) -> None:
    """In SQL, in a CTE of its own name, and in Python: that is no cycle, and each run goes on."""
    python = """
def model(warehouse):
    there = "select count(*) from information_schema.tables where table_name = 'd'"
    if not warehouse.sql(there).fetchone()[0]:
        return [{"n": 1}]
    return warehouse.sql("select n + (select max(n) from a) as n from d")
"""
    header = "/* @model upstream: main.{} */ "
    project = make_project(
        tmp_path,
        {
            "models/a.sql": header.format("a") + "select n + 1 as n from a",
            "models/b.sql": header.format("b")
            + "with b as (select b.n from main.b) select b.n + a.n as n from b, a",
            "models/c.sql": "with c as (select 1 as n) select n from c",
            "models/d.py": python,
        },
    )
    project.database.parent.mkdir()
    with project.warehouse() as session:
        session.execute("create table main.a as select 0 as n")
        session.execute("create table main.b as select 0 as n")
    assert [project.run().code for _ in range(2)] == [0, 0]
    query = "select (select n from a), (select n from b), (select n from c), (select n from d)"
    assert project.rows(query) == [(2, 3, 1, 3)]
