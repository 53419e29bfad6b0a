"""The live line: on a screen it is always the last row, and nothing is left of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from commands import DAGSTER_MODELS
from dagster_models.reporting import live_line
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.live_line import LiveLine, is_live
from dagster_models.reporting.past_runs import step_seconds
from dagster_models.reporting.progress import Progress, cells
from dagster_models.reporting.results import RunHeader, StepResult
from dagster_models.reporting.terminal import Terminal
from results_examples import sql
from running import ENDLESS, make_project
from screen import Screen, in_terminal, terminal

GRAPH = {"m.a": (), "m.b": ("m.a",), "m.c": ("m.a",)}


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Screen, TextIO]]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(LiveLine, "_in_front", lambda self: True)
    for name in ("FIRST_SECONDS", "EVERY_SECONDS"):
        monkeypatch.setattr(live_line, name, 0.01)
    with terminal(40) as (found, fd), open(os.dup(fd), "w", encoding="utf-8") as stream:
        yield found, stream


def test_what_is_written_goes_above_it(screen: tuple[Screen, TextIO]) -> None:
    seen, stream = screen
    line = LiveLine(stream, lambda width: f"now {width}")
    seen.wait_for(lambda: seen.lines() == ["now 39"])
    for number in range(50):
        line.write(f"line {number}\n")
    line.write("two\nlines\n")
    seen.wait_for(lambda: "lines" in seen.text)
    assert seen.lines() == [*(f"line {n}" for n in range(50)), "two", "lines", "now 39"]
    seen.resize(20)
    seen.wait_for(lambda: seen.last() == "now 19")
    line.hide()
    seen.wait_for(lambda: seen.last() == "lines")
    line.hide(False)
    seen.wait_for(lambda: seen.last() == "now 19")
    line.stop()
    seen.wait_for(lambda: seen.last() == "lines")
    line.write("last\n")
    seen.wait_for(lambda: "last" in seen.text)
    assert seen.lines()[-2:] == ["lines", "last"]


def test_a_run_on_a_screen(screen: tuple[Screen, TextIO]) -> None:
    """Without a line the terminal shows what it shows in a file."""
    seen, stream = screen
    seen.resize(120)
    copied: list[str] = []
    shown = Terminal(stream, color=False, clock=lambda: "00:00:00", copy=copied.append)
    shown.follow(lambda: Progress(GRAPH, 2, {"m.a": 3.0, "m.b": 3.0}))
    results = [sql(name, "succeeded") for name in GRAPH]
    shown.started(1, 3, results[0])
    seen.wait_for(lambda: seen.last() == "0 of 3 done, 0s of ~6s | m.a 0s of ~3s")
    shown.output("m.a", "stdout", "hello")
    shown.finished(1, 3, results[0])
    for number, result in enumerate(results[1:], 2):
        shown.started(number, 3, result)
    seen.wait_for(lambda: seen.last() == "1 of 3 done, 0s of ~3s | m.b 0s of ~3s, m.c 0s")
    for number, result in enumerate(results[1:], 2):
        shown.finished(number, 3, result)
    shown.done(results, 1.0)
    seen.wait_for(lambda: "Done. " in seen.text)
    assert seen.lines() == "".join(copied).splitlines()


def test_the_line_fits_into_any_width() -> None:
    now = [0.0]
    progress = Progress(GRAPH, 2, {"m.a": 65.0}, clock=lambda: now[0])
    progress.started("m.a")
    progress.started("m.\N{HANGUL SYLLABLE GA}\x1b[31m")
    now[0] = 61.0
    assert progress.line(200) == (
        "0 of 3 done, 1m 01s of ~2m 10s | m.a 1m 01s of ~1m 05s, m.\N{HANGUL SYLLABLE GA} 1m 01s"
    )
    assert progress.line(66) == (
        "0 of 3 done, 1m 01s of ~2m 10s | m.a 1m 01s of ~1m 05s, and 1 more"
    )
    assert [progress.line(width) for width in (40, 20, 5, 2)] == [
        "0 of 3 done, 1m 01s of ~2m 10s",
        "0 of 3 done",
        "0/3",
        "0/",
    ]
    assert all(cells(progress.line(width)) <= width for width in range(200))
    progress.stopped("m.a")
    assert "m.a" not in progress.line(200), "it waits for its next attempt"


def test_only_a_terminal_has_it(
    screen: tuple[Screen, TextIO], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, stream = screen
    assert is_live(stream)
    monkeypatch.setenv("NO_COLOR", "1")
    assert is_live(stream), "it has no colour"
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(stream)
    monkeypatch.setenv("TERM", "xterm")
    with open(tmp_path / "file", "w") as file:
        assert not is_live(file)
    seen.resize(0)
    assert not is_live(stream)


def test_how_long_steps_took(tmp_path: Path) -> None:
    def ran(run: str, target: str, seconds: float, state: str = "succeeded") -> None:
        header = RunHeader(run, "p", target, 100.0, ("m.a",), "1", 2, {}, {"m.a": ()})
        result = StepResult(
            "m.a", "sql", "table", state, started_at=101, ready_at=101, ended_at=101 + seconds
        )  # type: ignore[arg-type]
        with Journal(tmp_path, header) as journal:
            journal.step(result)
        os.utime(journal.path, (float(run), float(run)))

    for number, seconds in enumerate((100, 1, 2, 3, 4, 50)):
        ran(str(number), "dev", seconds)
    ran("6", "dev", 1000, "failed")
    ran("7", "prod", 1000)
    assert step_seconds(tmp_path, "dev") == {"m.a": 3}, "the median of the last five that built it"
    assert step_seconds(tmp_path / "none", "dev") == {}


@pytest.mark.slow
def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": ENDLESS}, "jobs: {all: {}}\n")
    command = [DAGSTER_MODELS, "run", "--project", str(project.root)]
    with in_terminal(command, project.env, str(tmp_path), 100) as (seen, process):
        seen.wait_for(
            lambda: re.fullmatch(r"0 of 1 done, \ds \| main.a \ds", seen.last()) is not None
        )
        seen.keys("\x03")
        seen.wait_for(lambda: process.poll() is not None)
        seen.read(0.2)
    assert process.returncode == 2
    lines = seen.lines()
    assert not any("of 1 done" in line for line in lines), lines
    assert any("1 of 1 CANCEL table main.a" in line for line in lines)
    assert lines[-1].startswith("`dagster-models retry`")
