"""`dagster-models completion`: what real shells complete with its scripts."""

from __future__ import annotations

import os
import re
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
from screen import Screen, in_terminal

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


#: What a user types before the tabulator -> what the shell then shows or writes.
LINES = {
    "dagster-models comp": "compile completion",
    "dagster-models run --full": "--full-refresh",
    "dagster-models run st": "stg_orders staging",
    "dagster-models run --select orders +re": "+regions",
    "dagster-models run tag:l": "tag:late",
    "dagster-models run --target ": "dev",
    "dagster-models run --checks a": "after",
    "dagster-models check --format g": "github",
    "dagster-models completion z": "zsh",
    "dagster-models show o": "orders",
    "dagster-models explain a": "a1b2",
    "dagster-models ls --project mod": "models",  # files, which the shell completes by itself
}


#: How each shell begins a session: without the user's files, in one line, and with lists at once.
SHELLS = {
    "bash": (
        ["bash", "--norc", "-i"],
        "bind 'set show-all-if-ambiguous on' 'set page-completions off'"
        " 'set completion-query-items 0' 'set enable-bracketed-paste off'",
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        "unsetopt auto_menu prompt_cr prompt_sp; LISTMAX=0",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_a_tabulator(project: Project, tmp_path: Path, shell: str) -> None:
    """An interactive shell completes each line, at a terminal of its own."""
    program, settings = SHELLS[shell]
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "completion"
    script.write_text({"bash": _bash, "zsh": _zsh}[shell]())
    found = {}
    with in_terminal(program, environment(), str(project.root), 200) as (screen, _):
        screen.keys(f"{settings}; PS1='> '; source '{script}'; echo end-$((1))\n")
        before = shown_after(screen, "end-1")
        for number, line in enumerate(LINES, start=2):
            screen.keys(f"{line}\t\x15echo end-$(({number}))\n")
            after = shown_after(screen, f"end-{number}")
            said = MOVES.sub(" ", screen.text[before:after].partition("echo")[0])
            found[line] = {word for word in NAMES.findall(said) if word in CANDIDATES}
            before = after
    for line, words_ in found.items():
        assert words_ - set(line.split()) == set(LINES[line].split()), line


def shown_after(screen: Screen, end: str) -> int:
    """How much the terminal has shown when the shell reads keys again after this line."""
    screen.wait_for(lambda: "> " in screen.text.partition(f"{end}\r")[2])
    return len(screen.text)


#: What moves the cursor and sets colors.
MOVES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: Words in what a terminal shows, and those of them that may be completed.
NAMES = re.compile(r"[\w:+-]+")
CANDIDATES = {word for words in LINES.values() for word in words.split()} | {"seeds", "csv", "all"}


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": "/none"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish(project: Project, tmp_path: Path) -> None:
    """All lines in one process: fish completes a line that is given to it as it does at a key."""
    script = tmp_path / "completion.fish"
    script.write_text(_fish())
    asked = "; ".join(f"echo '> {line}'; complete -C '{line}'" for line in LINES)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; {asked}"],
        env=environment(),
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )
    parts = done.stdout.split("> ")[1:]
    assert len(parts) == len(LINES), done.stderr
    for (line, wanted), part in zip(LINES.items(), parts, strict=True):
        found = {it.partition("\t")[0].rstrip("/") for it in part.splitlines()[1:]}
        assert found & CANDIDATES == set(wanted.split()), (line, part, done.stderr)


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
