"""Two runs at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import make_project

pytestmark = pytest.mark.slow


def test_two_runs_at_once_on_one_file(tmp_path: Path) -> None:
    files = {f"models/m{i}.sql": "select count(*) as n from range(3000000)" for i in range(4)}
    project = make_project(tmp_path, files)
    other = make_project(tmp_path / "other", {})
    other.write(
        {
            "dagster_models.yaml": "name: test\ntargets: {dev: {type: duckdb, path: "
            f"{project.database}}}}}\nmodels: {{materialized: table}}\n",
            "models/o.sql": "select 1 as n",
        }
    )
    runs = [project.start(), other.start()]
    codes = [process.communicate(timeout=90) and process.returncode for process in runs]
    assert codes == [0, 0]
    assert len(project.tables()) == 5


def test_two_runs_that_build_the_same_relation_take_turns(tmp_path: Path) -> None:
    slow = "select count(*) as n from range(200000000) t(i) where hash(i) <> 0"
    project = make_project(tmp_path, {"models/a.sql": slow, "models/b.sql": "select n from a"})
    runs = [project.start(), project.start()]
    output = [process.communicate(timeout=90) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], output
    assert len(project.rows("select * from dagster_models.commits")) == 4
