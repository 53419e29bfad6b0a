"""The command `dg` with ModelsComponent, in a project as `create-dagster project` writes one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from addresses import duckdb_at
from dagster_models.processes.client.session import connect

PYPROJECT = """
[project]
name = "acme"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "acme"
code_location_name = "acme"
"""
DEFINITIONS = """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""
#: Several commands in one process, as most of the time of each goes into its imports.
COMMANDS = """
import sys
from dagster_dg_cli.cli import create_dg_cli
from dagster_models.cli.main import main

for command in sys.argv[1:]:
    print("$ dg", command, flush=True)
    try:
        if command.startswith("dagster-models "):
            sys.exit(main(command.split()[1:]))
        create_dg_cli()(command.split(), standalone_mode=False)
    except SystemExit as exit:
        print("exit code", exit.code, flush=True)
"""


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("acme")
    files = {
        "pyproject.toml": PYPROJECT,
        "src/acme/__init__.py": "",
        "src/acme/definitions.py": DEFINITIONS,
        "src/acme/defs/__init__.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def run(root: Path, program: list[str]) -> str:
    home = root / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(root / "src"),
        "VIRTUAL_ENV": sys.prefix,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        program,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_dagster_is_told_where_components_are() -> None:
    registered = {entry.value for entry in entry_points(group="dagster_dg_cli.registry_modules")}
    assert "dagster_models" in registered, "install the package again: pip install -e ."


@pytest.mark.slow
def test_the_command(acme: Path) -> None:
    commands = [
        "list components --package dagster_models",
        "scaffold defs dagster_models.ModelsComponent shop",
        "check yaml",
        "check defs",
        "list defs",
        "launch --assets *",
        "dagster-models --project src/acme/defs/shop run",
    ]
    told = run(acme, [sys.executable, "-c", COMMANDS, *commands])
    parts = dict(
        part.split("\n", 1) for part in ("\n" + told).replace("\n$ dg ", "\0").split("\0")[1:]
    )
    assert "dagster_models.ModelsComponent" in parts[commands[0]]
    folder = acme / "src" / "acme" / "defs" / "shop"
    written = yaml.safe_load((folder / "defs.yaml").read_text())
    assert written == {
        "type": "dagster_models.ModelsComponent",
        "attributes": {"project": "."},
    }
    assert "All component YAML validated successfully" in parts[commands[2]]
    assert "All definitions loaded successfully" in parts[commands[3]]
    assert "marts/example" in parts[commands[4]]
    assert "shop" in parts[commands[4]]
    # The run is one of models_executor, whose summary it prints, and the rows are there.
    assert "Done. PASS=1 WARN=0 ERROR=0 SKIP=0 CANCEL=0 TOTAL=1" in parts[commands[5]]
    # That of `dagster-models run` belongs to the code location of `dg dev`.
    assert "(job __ASSET_JOB, code location acme)" in parts[commands[6]]
    assert "exit code 0" in parts[commands[6]]
    with connect(duckdb_at(folder / "target" / "shop.duckdb")) as session:
        assert session.query("select count(*), max(id) from marts.example") == [(10, 9)]
