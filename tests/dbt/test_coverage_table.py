"""tests/bench/dbt_coverage.py: its table and its reasons."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dbt_cases import manifest_of, step

SCRIPT = Path(__file__).parents[1] / "bench/dbt_coverage.py"


def test_the_ways_and_the_reasons_of_each_project(tmp_path: Path) -> None:
    asks = "select {{ dbt_utils.star(ref('plain')) }} from x"
    star = "{% macro star(it) %}{{ adapter.get_missing_columns(it, it) }}{% endmacro %}"
    text = {"raw_code": "select 1 as id", "language": "sql"}
    computes = "{% set x = 1 %}select {{ x }} as id"
    manifest_of(
        tmp_path / "teams/shop",
        step("plain", **text),
        step("computed", raw_code=computes),
        step("asks", raw_code=asks),
        step("asked", raw_code=asks, compiled_code="select id from x"),
        step("odd", config={"materialized": "dictionary"}, **text),
        macros={"macro.dbt_utils.star": star},
    )
    (tmp_path / "teams/shop/target").rename(tmp_path / "teams/shop/built")
    with (tmp_path / "teams/shop/dbt_project.yml").open("a") as file:
        file.write("\ntarget-path: built\n")
    (tmp_path / "teams/shop/dbt_packages/inner").mkdir(parents=True)
    (tmp_path / "teams/shop/dbt_packages/inner/dbt_project.yml").write_text("name: inner\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/dbt_project.yml").write_text("name: other\n")
    call = [sys.executable, str(SCRIPT), str(tmp_path), str(tmp_path / "into")]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:-1] for line in lines[2:5]}
    assert rows == {
        "other": ["0", "0", "0", "0", "0", "-", "-", "0", "-"],
        "teams/shop": ["5", "1", "1", "1", "2", "40.0%", "60.0%", "1", "100.0%"],
        "all": ["5", "1", "1", "1", "2", "40.0%", "60.0%", "1", "100.0%"],
    }
    assert any(line.startswith("other: ") and "manifest.json is missing" in line for line in lines)
    assert "teams/shop: 1 ... is not known here" in lines
    asking = [it for it in lines if "asks the warehouse while dbt compiles" in it]
    assert [it.split()[:2] for it in asking] == [["teams/shop:", "1"], ["teams/shop:", "1"]]
