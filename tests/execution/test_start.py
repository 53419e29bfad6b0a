"""What a run imports before its first step."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from commands import DAGSTER
from running import make_project

#: What some runs need, and others not: from 30 to 400 ms each.
NEEDED_BY_SOME = {
    *("antlr4", "deltalake", "duckdb", "jinja2", "networkx", "numpy", "pandas", "polars"),
    *("psycopg", "pyarrow", "pymysql", "pyspark", "ray"),
}
#: What a run does without until its end. sqlglot takes 33 MiB: new texts are parsed in a process
#: that ends with the load, and plain values are written without it.
NEVER = {"http", "sqlglot", "xml"}


@pytest.mark.slow
def test_a_run_of_plain_models_imports_none_of_what_others_need(tmp_path: Path) -> None:
    files = {"models/a.sql": "select 1 as id", "models/b.sql": "select id, $word as it from a"}
    source = "{name: raw, tables: [{name: t, columns: {id: {type: integer}}}]}"
    files["models/sources.yaml"] = f"sources: [{source}]\n"
    project = make_project(tmp_path, files, "vars: {word: said}\n")
    argv = [sys.executable, "-X", "importtime", DAGSTER, "job", "execute"]
    done = subprocess.run(
        [*argv, "-f", "definitions.py", "-j", "test"],
        cwd=project.root,
        env=project.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    before, start, _ = done.stdout.partition(" START ")
    assert start
    assert {"dagster", "dagster_models"} <= imported(before)
    assert not imported(before) & NEEDED_BY_SOME
    assert not imported(done.stdout) & NEVER


def test_the_command_run_does_not_import_the_parser_either() -> None:
    """`dagster-models run` executes its run in its own process."""
    program = "import sys, dagster_models.cli.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = done.stdout.split()
    assert "dagster_models.cli.run" in loaded, done.stderr
    assert "sqlglot" not in loaded


def imported(printed: str) -> set[str]:
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\w+)", printed, re.MULTILINE))
