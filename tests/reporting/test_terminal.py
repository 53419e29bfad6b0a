"""The terminal's exact text; the fixtures in data/terminal/*.txt show how a run looks."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import paths
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.printable import clean
from dagster_models.reporting.results import CheckResult, StepResult
from dagster_models.reporting.terminal import Terminal
from results_examples import CANCELED, FAILED, OK, SKIPPED, SKIPPED_FAR, UNREAD, runs, sql

TEXTS = paths.DATA / "terminal"


def play_happy(terminal: Terminal) -> None:
    terminal.found(models=14, scripts=2, seeds=1, checks=9)
    terminal.concurrency(4, "dev")
    seed = StepResult("seeds.airlines", "seed", "table", "succeeded", seconds=0.02, rows=1)
    model = StepResult(
        "marts.delay_forecast", "python", "table", "succeeded", seconds=61.5, rows=365
    )
    script = StepResult("scripts.report", "script", "", "succeeded", seconds=1.204)
    done = [seed, OK, model, script]
    for index, result in enumerate(done, 1):
        terminal.started(index, 4, result)
        terminal.finished(index, 4, result)
    terminal.done(done, 62.9)


def play_failure(terminal: Terminal) -> None:
    done = [OK, FAILED, SKIPPED, SKIPPED_FAR]
    terminal.retry(2, 4, replace(FAILED, seconds=0.2), delay_seconds=5)
    for index, result in enumerate(done, 1):
        terminal.finished(index, 4, result)
    terminal.done(done, 3661.2)


def play_fail_fast(terminal: Terminal) -> None:
    script = StepResult("scripts.notify", "script", "", "canceled", seconds=0.5)
    unread = sql("marts.a", "skipped")
    below = sql(
        "marts.b",
        "skipped",
        cause=CANCELED.step,
        cause_state="canceled",
        path=(CANCELED.step, "marts.b"),
    )
    done = [FAILED, CANCELED, script, UNREAD, unread, below]
    for index, result in enumerate(done, 1):
        terminal.finished(index, 6, result)
    terminal.done(done, 2.2)


def play_checks(terminal: Terminal) -> None:
    warned = replace(
        OK,
        checks=(
            CheckResult("unique_carrier", "error"),
            CheckResult("accepted_values_carrier", "warn", failures=1_200),
            CheckResult(
                "odd",
                "warn",
                error=TaskError(ErrorKind.BAD_COLUMN, "Binder Error: no\ncolumn x"),
                file="checks/odd.sql",
                line=3,
            ),
        ),
    )
    blocked = sql(
        "marts.planes",
        "failed",
        error=TaskError(ErrorKind.CHECK_FAILED, "not published, as a check failed"),
        checks=(CheckResult("not_null_tailnum", "error", failures=1),),
    )
    for index, result in enumerate([warned, blocked], 1):
        terminal.finished(index, 2, result)
    terminal.done([warned, blocked], 0.5)


def play_output(terminal: Terminal) -> None:
    task = StepResult("marts.delay_forecast", "python", "table", "succeeded")
    terminal.started(1, 2, task)
    terminal.output(task.step, "stdout", "fitting 365 days\n")
    terminal.output(task.step, "stderr", " 10%\r 50%\r100%\r\n")
    terminal.output(task.step, "stdout", "two\n\n\tlines: größer, 延误\n")
    long_name = StepResult("intermediate." + "a_very_long_name_" * 5, "sql", "view", "succeeded")
    terminal.started(2, 2, long_name)
    terminal.output(task.step, "stdout", "\x1b[32mgreen\x1b[0m again")
    terminal.finished(2, 2, long_name)
    failed = StepResult(
        task.step,
        "python",
        "table",
        "failed",
        file="models/marts/delay_forecast.py",
        error=TaskError(
            ErrorKind.USER_CODE,
            "no days",
            "ValueError",
            line=7,
            traceback='Traceback (most recent call last):\n  File "delay_forecast.py", line 7\n'
            "ValueError: no days\n",
        ),
    )
    terminal.finished(1, 2, failed)
    terminal.done([long_name, failed], 1)


def play_timeout(terminal: Terminal) -> None:
    driver = TaskError(ErrorKind.INTERRUPTED, "INTERRUPT Error: Interrupted!")
    slow = replace(FAILED, timed_out=True, error=driver, seconds=30.0)
    killed = TaskError(ErrorKind.WORKER_LOST, "it did not stop within 5 s, and was killed")
    stuck = replace(slow, error=killed)
    for index, result in enumerate([slow, stuck], 1):
        terminal.finished(index, 2, result)
    terminal.done([slow, stuck], 30.1)


def play_hostile(terminal: Terminal) -> None:
    nasty = "one\r\ntwo\x1b[2J\x1b]0;title\x07 \x9b31m\x08\u202egnp.exe\u2028three \udcff\x00"
    terminal.note(nasty)
    terminal.concurrency(1, "d\nev")
    terminal.output("a.\x1b[1mb", "stdout", nasty)
    failed = sql(
        "a.\nb", "failed", error=TaskError(ErrorKind.OTHER, nasty), file="models/\x1b[0m.sql"
    )
    skipped = sql(
        "a.c",
        "skipped",
        cause="a.\nb",
        cause_state="failed",
        path=("a.\nb", "a.x", "a.c"),
    )
    check = CheckResult("n\nl", "warn", error=TaskError(ErrorKind.OTHER, nasty))
    done = [failed, skipped, replace(OK, checks=(check,)), replace(CANCELED, cause=nasty)]
    for index, result in enumerate(done, 1):
        terminal.finished(index, 4, result)
    terminal.done(done, 0)


PLAYS: dict[str, Callable[[Terminal], None]] = {
    "happy": play_happy,
    "failure": play_failure,
    "fail_fast": play_fail_fast,
    "checks": play_checks,
    "output": play_output,
    "timeout": play_timeout,
    "hostile": play_hostile,
}


def shown(play: Callable[[Terminal], None], color: bool = False) -> str:
    stream = io.StringIO()
    play(Terminal(stream, color=color, clock=lambda: "18:04:11"))
    return stream.getvalue()


@pytest.mark.parametrize("name", PLAYS)
def test_terminal_text(name: str) -> None:
    assert shown(PLAYS[name]) == (TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def test_every_text_is_played() -> None:
    assert {path.stem for path in TEXTS.glob("*.txt")} == set(PLAYS)


@pytest.mark.parametrize("name", PLAYS)
def test_color_changes_nothing_but_color(name: str) -> None:
    colored = shown(PLAYS[name], color=True)
    assert "\x1b[" in colored
    assert re.sub("\x1b\\[[0-9]+m *", "", colored.replace(" ", "")) == shown(PLAYS[name]).replace(
        " ", ""
    )


@given(st.text(st.characters()))
def test_cleaned_text_is_one_harmless_line(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned.splitlines()) <= 1
    assert all(ord(char) >= 32 and not 0x7F <= ord(char) < 0xA0 for char in cleaned)
    cleaned.encode("utf-8")
    assert clean(cleaned) == cleaned or "  " in cleaned


def test_a_terminal_has_color_unless_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()

    def printed(**environment: str) -> bytes:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            Terminal(stream).finished(1, 1, OK)
        return os.read(ours, 10_000)

    with open(theirs, "w", encoding="utf-8") as stream:
        assert b"\x1b[32m" in printed()
        assert b"\x1b[" not in printed(NO_COLOR="1")
        assert b"\x1b[" not in printed(TERM="dumb")
    os.close(ours)


def test_a_stream_that_is_no_terminal_has_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    Terminal(stream).finished(1, 1, OK)
    assert "\x1b" not in stream.getvalue()


def test_another_encoding_shows_what_it_can() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Terminal(stream).note("größer")
    assert raw.getvalue().endswith(b"gr\\xf6\\xdfer\n")


def test_a_reader_that_goes_away_does_not_fail_the_run() -> None:
    program = (
        "import sys; from dagster_models.reporting.terminal import Terminal\n"
        "class Tee:\n"
        "    def write(self, text): sys.stderr.write(text[10:]); sys.stdout.write(text)\n"
        "    def flush(self): sys.stdout.flush()\n"
        "    def fileno(self): return sys.stdout.fileno()\n"
        "    def isatty(self): return False\n"
        "terminal = Terminal(Tee()); terminal.note('first')\n"
        "sys.stdin.readline()\n"
        "terminal.note('second'); terminal.note('third')\n"
    )
    # Unbuffered output would hide what Python does with a buffer that it cannot flush at exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdout
    assert child.stdin
    assert child.stderr
    assert child.stdout.readline().endswith("first\n")
    child.stdout.close()
    child.stdin.write("\n")
    child.stdin.close()
    assert child.stderr.read() == "first\nsecond\nthird\n"
    child.stderr.close()
    assert child.wait() == 0


def test_a_closed_stream_and_a_full_disk_do_not_fail_the_run() -> None:
    closed = io.StringIO()
    closed.close()
    Terminal(closed).finished(1, 1, OK)

    class Full(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    disk = Full()
    terminal = Terminal(disk, clock=lambda: "now")
    terminal.note("lost")
    disk.full = False
    terminal.note("there is room again")
    assert disk.getvalue() == "now  there is room again\n"


def test_threads_do_not_write_into_each_other() -> None:
    class Slow(io.StringIO):
        """Whoever writes stays inside until somebody else comes in, or for a moment."""

        inside, overlapped = 0, threading.Event()

        def write(self, text: str) -> int:
            self.inside += 1
            if self.inside > 1:
                self.overlapped.set()
            self.overlapped.wait(0.1)
            self.inside -= 1
            return super().write(text)

    stream = Slow()
    terminal = Terminal(stream)
    threads = [threading.Thread(target=terminal.note, args=(f"{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not stream.overlapped.is_set()
    assert len(stream.getvalue().splitlines()) == 4


@given(runs)
def test_the_terminal_shows_any_run(run: list[StepResult]) -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, color=False, clock=lambda: "18:04:11")
    for index, result in enumerate(run, 1):
        terminal.started(index, len(run), result)
        terminal.finished(index, len(run), result)
    terminal.done(run, 1.0)
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    assert all(line.startswith("18:04:11") for line in lines)
    heads = [line for line in lines if re.match(r"18:04:11  \d+ of \d+ (?!START)", line)]
    assert len(heads) == len(run)
