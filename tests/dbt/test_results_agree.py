"""Each test of a project has the same status in dbt and, imported, here. The project of
tests/data/dbt_tests has the cases that differ most easily: NULL and None, thresholds, limits.

It runs if DAGSTER_MODELS_DBT is a Python that has dbt-core and dbt-duckdb.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from real_dbt import PYTHON, needs_dbt

PROJECT = Path(__file__).parents[1] / "data/dbt_tests"
pytestmark = [
    pytest.mark.nightly,
    needs_dbt,
]


def statuses(project: Path) -> dict[str, str]:
    """The status of each test, by its name."""
    results = json.loads((project / "target/run_results.json").read_text())["results"]
    tests = (it for it in results if it["unique_id"].startswith("test."))
    return {it["unique_id"].removeprefix("test.shop."): it["status"] for it in tests}


def of_dbt(project: Path) -> dict[str, str]:
    output = {"type": "duckdb", "path": "shop.duckdb", "schema": "main"}
    profile = {"shop": {"target": "dev", "outputs": {"dev": output}}}
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    for command in ("run", "test"):
        call = [PYTHON, "-m", "dbt.cli.main", command, "--profiles-dir", "."]
        subprocess.run(call, cwd=project, capture_output=True, check=False)
    return {name.split(".")[0]: status for name, status in statuses(project).items()}


def of_import(project: Path, into: Path, home: Path) -> dict[str, str]:
    home.mkdir()
    environ = {**os.environ, "DAGSTER_HOME": str(home)}
    command = [sys.executable, "-m", "dagster_models.cli"]
    subprocess.run([*command, "import-dbt", str(project), "--into", str(into)], check=True)
    with (into / "dagster_models.yaml").open("a") as file:
        file.write("checks: after\n")  # as dbt, which builds first and tests then
    call = [*command, "--project", str(into), "run"]
    subprocess.run(call, env=environ, capture_output=True, check=False)
    return {name.split(".")[1]: status for name, status in statuses(into).items()}


def status_here(name: str, found: dict[str, str]) -> str:
    """A test with two odd thresholds is two checks, of which the worse one counts."""
    plain = name.replace("_a_id", "_id")
    own = next(it for it in (name, f"a_{name}", plain) if it in found)
    worse = found.get(f"{own}_warn", "pass")
    return worse if found[own] == "pass" else found[own]


def test_each_test_has_the_status_that_dbt_gives_it(tmp_path: Path) -> None:
    shutil.copytree(PROJECT, tmp_path / "shop")
    theirs = of_dbt(tmp_path / "shop")
    ours = of_import(tmp_path / "shop", tmp_path / "ours", tmp_path / "home")
    assert sorted(theirs.values()) == ["fail"] * 6 + ["pass"] * 7 + ["warn"] * 5
    assert {name: status_here(name, ours) for name in theirs} == theirs
