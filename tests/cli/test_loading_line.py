"""The line that a terminal shows while a project loads for long."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cli_cases import FILES
from dagster_models.cli.loading import shown_loading
from dagster_models.cli.project import load
from dagster_models.reporting import live_line
from dagster_models.reporting.live_line import LiveLine
from dagster_models.util.progress import is_heard, listening, tell
from running import make_project
from screen import terminal


def test_it_says_what_is_read_and_others_write_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(LiveLine, "_in_front", lambda self: True)
    for name in ("FIRST_SECONDS", "EVERY_SECONDS"):
        monkeypatch.setattr(live_line, name, 0.01)
    with terminal(60) as (seen, fd), open(os.dup(fd), "w", encoding="utf-8") as stream:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, stream)
        with shown_loading():
            tell("files read", 3, 9)
            seen.wait_for(lambda: seen.lines() == ["Loading the project, 3 of 9 files read (0s)"])
            print("from", "a module")
            sys.stderr.write("a warning\nhalf")
            tell("queries traced", 1, 2)
            seen.wait_for(lambda: "1 of 2" in seen.last())
            assert seen.lines()[:-1] == ["from a module", "a warning"]
        stream.write(" a line\n")
        stream.flush()
        seen.wait_for(lambda: "a line" in seen.text)
        assert seen.lines() == ["from a module", "a warning", "half a line"]
    assert not is_heard()


def test_a_load_counts_files_and_queries(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    heard: list[tuple[str, int, int]] = []
    with listening(lambda *it: heard.append(it)):
        load(project.root)
    files = [it for it in heard if it[0] == "files read"]
    assert files == [("files read", done, 5) for done in range(1, 6)]
    assert [it for it in heard if it not in files][-1] == ("queries traced", 4, 4)


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_loading():
        assert not is_heard()
    assert capsys.readouterr().err == ""
