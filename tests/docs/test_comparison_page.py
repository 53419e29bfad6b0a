"""docs/comparison.md: what it says to enter installs the tools that the benchmarks look for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pages import Page
from paths import REPOSITORY

BENCH = REPOSITORY / "tests" / "bench"
PAGE = Page.of("comparison.md")
*INSTALLS, COMPARE = PAGE.block("sh").splitlines()


def test_the_commands_install_what_the_benchmarks_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    from peers import PACKAGES

    found = {}
    for line in INSTALLS:
        made, installed = line.split(" && ")
        peer = made.removeprefix("python3 -m venv peers/")
        assert installed.startswith(f"peers/{peer}/bin/pip install ")
        found[peer] = set(re.findall(r"([\w-]+)==[\d.]+", installed)) - {"duckdb"}
    assert found == {peer: set(packages) for peer, packages in PACKAGES.items()}
    assert len(set(re.findall(r" (duckdb==[\d.]+)", PAGE))) == 1, "one DuckDB for all"


def test_the_last_command_runs_benchmarks_that_find_them(tmp_path: Path) -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    shown = 'find:\n\t@printf %s "$$PATH"\n'
    (tmp_path / "Makefile").write_text(f"{makefile}\n{shown}")
    find = COMPARE.replace("compare", "find").split()
    path = os.environ["PATH"]
    for command, more in ((find, ["dbt", "sqlmesh", "yato"]), (find[:2], [])):
        command = [*command, "--no-print-directory"]  # which a make within `make test` does
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        folders = [path, *(f"{tmp_path}/peers/{it}/bin" for it in more)]
        assert told.stdout == os.pathsep.join(folders), told.stderr
    would = subprocess.run(
        [*COMPARE.split(), "-n", "-o", "setup"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    scripts = re.findall(r"tests/bench/(\w+\.py)", would.stdout)
    assert set(scripts) == {"overhead.py", "loading.py", "stopping.py", "sleepers.py"}
    assert all(f"`tests/bench/{it}" in PAGE for it in scripts if it != "overhead.py")


def test_a_tool_that_is_not_installed_is_named_and_no_error() -> None:
    program = (
        "import argparse, sys; from peers import *; parser = argparse.ArgumentParser();"
        "add_peers(parser, 'dbt', 'yato');"
        "print(chosen_peers(parser.parse_args(['--dbt', 'no/dbt', '--yato', sys.executable]),"
        " 'dbt', 'yato'))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=BENCH, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert (
        told[0] == "dbt is not measured: it is not installed (dbt-core and dbt-duckdb; --dbt PATH)"
    )
    assert told[1].startswith("yato: of unknown version")
    assert told[2] == str({"yato": sys.executable})
