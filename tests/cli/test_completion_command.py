"""`dagster-models completion`: what real shells complete with its scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import BIN
from dagster_models.cli.completion import _bash, _fish, _zsh
from dagster_models.cli.main import COMMANDS
from dagster_models.cli.words import words
from running import Project, make_project

FILES = {
    "models/staging/stg_orders.sql": "/* @model\ntags: [nightly, 'a b']\n*/ select 1 as id",
    "models/marts/orders.py": '"""@model\ntags:\n  - late\n"""\ndef model(warehouse): ...\n',
    "models/marts/_helper.py": "",
    "seeds/regions.csv": "id\n1\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path, FILES, "jobs: {all: {}, nightly: {selection: stg_orders}}\n")
    (project.root / "target" / "runs").mkdir(parents=True)
    (project.root / "target" / "runs" / "a1b2.jsonl").touch()
    return project


def test_the_words(project: Project) -> None:
    def of(kind: str, typed: str = "") -> list[str]:
        return words(kind, typed, project.root)

    assert of("models") == ["orders", "stg_orders", "regions"]
    assert of("selections", "or") == ["orders"]
    assert of("selections", "2+st") == ["2+stg_orders", "2+staging"]
    assert of("selections", "tag:") == ["tag:late", "tag:nightly", "tag:a b", "tag:"]
    assert of("targets") == ["dev"]
    assert of("jobs", "n") == ["nightly"]
    assert of("runs") == ["last", "a1b2"]
    (project.root / "dagster_models.yaml").write_text("a: [")
    assert of("targets") == []
    assert words("models", "", None) == []


#: Completes each line and prints the words, separated by blanks.
BASH = """
source {script}
while IFS= read -r line; do
    COMP_LINE=$line; COMP_POINT=${{#line}}; read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
    _dagster_models
    echo "${{COMPREPLY[*]}}"
done
"""
LINES = {
    "dagster-models comp": "compile completion",
    "dagster-models run --full": "--full-refresh",
    "dagster-models run st": "stg_orders staging",
    "dagster-models run --select orders +re": "+regions",
    "dagster-models run tag:l": "late",  # bash has split the word at the colon
    "dagster-models run --target ": "dev",
    "dagster-models run --checks a": "after",
    "dagster-models check --format g": "github",
    "dagster-models completion z": "zsh",
    "dagster-models show o": "orders",
    "dagster-models explain a": "a1b2",
    "dagster-models ls --project ": "",  # files, which bash completes by itself
}


@pytest.mark.slow
def test_bash(project: Project, tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(_bash())
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(script=script)],
        input="\n".join(LINES) + "\n",
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert dict(zip(LINES, done.stdout.splitlines(), strict=True)) == LINES


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(project: Project, tmp_path: Path) -> None:
    script = tmp_path / "completion.fish"
    script.write_text(_fish())
    for line, wanted in {**LINES, "dagster-models run tag:l": "tag:late"}.items():
        if not wanted:
            continue
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"],
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
            cwd=project.root,
            capture_output=True,
            text=True,
            check=False,
        )
        found = {it.partition("\t")[0] for it in done.stdout.splitlines()}
        assert set(wanted.split()) <= found, (line, done.stdout, done.stderr)


def test_every_command_and_option_is_in_the_scripts() -> None:
    for text in (_bash(), _zsh(), _fish()):
        assert all(name in text for name in COMMANDS)
        assert "full-refresh" in text
        assert "@" not in text.replace("${COMP_WORDS[@]}", "").replace("[@]", "")


def test_it_loads_nothing_heavy() -> None:
    """It runs at each press of a key."""
    program = "import sys; from dagster_models.cli.main import main; main()\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "completion", "--words", "models"],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"dagster", "sqlglot", "duckdb", "pyarrow", "yaml", "subprocess", "logging"}
    assert not heavy & set(done.stdout.split())
