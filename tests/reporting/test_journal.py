"""The journal: what a run that was killed, resumed or out of disk leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from dagster_models.errors import DagsterModelsError
from dagster_models.reporting.journal import Journal, latest_journal, read_journal
from dagster_models.reporting.results import StepResult, totals
from paths import SUPPORT
from results_examples import CANCELED, FAILED, HEADER, OK, runs


@settings(deadline=None)
@given(run=runs)
def test_journal_round_trip(
    tmp_path_factory: pytest.TempPathFactory, run: list[StepResult]
) -> None:
    folder = tmp_path_factory.mktemp("target")
    with Journal(folder, HEADER) as journal:
        for result in run:
            journal.step(result)
        journal.end("success", run, 1.5)
    read = read_journal(folder / "runs" / "run-1.jsonl")
    assert (read.header, read.steps, read.unreadable) == (HEADER, tuple(run), ())
    assert read.end
    assert (read.end.status, read.end.totals, read.end.seconds) == ("success", totals(run), 1.5)


def test_a_killed_run_leaves_every_line_it_wrote(tmp_path: Path) -> None:
    program = (
        "import sys; from results_examples import *\n"
        "from dagster_models.reporting.journal import Journal\n"
        "journal = Journal(sys.argv[1], HEADER)\n"
        "journal.step(OK); journal.step(FAILED)\n"
        "print('written', flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=SUPPORT,
    )
    assert child.stdout
    assert child.stdin
    assert child.stdout.readline() == b"written\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    child.stdin.close()
    read = read_journal(tmp_path / "runs" / "run-1.jsonl")
    assert (read.header, read.steps, read.end) == (HEADER, (OK, FAILED), None)


def test_a_torn_line_costs_only_itself_wherever_it_is_cut(tmp_path: Path) -> None:
    with Journal(tmp_path, HEADER) as journal:
        journal.step(OK)
        whole = len(journal.path.read_bytes())
        journal.step(FAILED)
    text = journal.path.read_bytes()
    for cut in range(whole + 1, len(text) - 1):
        journal.path.write_bytes(text[:cut])
        read = read_journal(journal.path)
        assert (read.header, read.steps, read.unreadable) == (HEADER, (OK,), (3,))


def test_a_resumed_run_goes_on_below_a_torn_line(tmp_path: Path) -> None:
    with Journal(tmp_path, HEADER) as journal:
        journal.step(FAILED)
        journal.end("failure", [FAILED], 1.0)
        journal.step(CANCELED)
    journal.path.write_bytes(journal.path.read_bytes()[:-9])
    again = replace(FAILED, state="succeeded", attempt=2, error=None)
    with Journal(tmp_path, HEADER) as journal:
        journal.step(OK)
        journal.step(again)
    read = read_journal(journal.path)
    assert (read.steps, read.end, read.unreadable) == ((OK, again), None, (4,))


def test_each_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(data), real(fd, data))[1])
    with Journal(tmp_path, HEADER) as journal:
        journal.step(OK)
        journal.end("success", [OK], 1.0)
    assert [json.loads(write)["type"] for write in writes] == ["run", "step", "end"]
    assert all(write.count(b"\n") == 1 and write.endswith(b"\n") for write in writes)


def test_a_full_disk_tears_one_line_of_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [20, 0]

    def fill(fd: int, data: bytes) -> int:
        if left := room.pop(0):
            return real(fd, data[:left])
        raise OSError(28, "No space left on device")

    real = os.write
    with Journal(tmp_path, HEADER) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fill)
            with pytest.raises(OSError, match="No space"):
                journal.step(FAILED)
        journal.step(OK)
    read = read_journal(journal.path)
    assert (read.steps, read.unreadable) == ((OK,), (2,))


def test_a_newer_version_may_have_written_more(tmp_path: Path) -> None:
    with Journal(tmp_path, HEADER) as journal:
        journal.step(FAILED)
    newer = [
        json.dumps({**json.loads(line), "invented": 1})
        for line in journal.path.read_text().splitlines()
    ]
    newer.append(json.dumps({"type": "invented"}))
    journal.path.write_text("\n".join(newer) + "\n")
    read = read_journal(journal.path)
    assert (read.header, read.steps, read.unreadable) == (HEADER, (FAILED,), ())


def test_the_latest_journal_is_the_one_written_last(tmp_path: Path) -> None:
    assert latest_journal(tmp_path) is None
    for run_id, when in (("b", 3), ("a", 5), ("c", 4)):
        with Journal(tmp_path, replace(HEADER, run_id=run_id)) as journal:
            pass
        os.utime(journal.path, (when, when))
    latest = latest_journal(tmp_path)
    assert latest
    assert latest.name == "a.jsonl"


@pytest.mark.parametrize("run_id", ["", "../x", "a/b", ".hidden", "a\n"])
def test_a_run_id_cannot_leave_the_folder(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(DagsterModelsError, match="run id"):
        Journal(tmp_path, replace(HEADER, run_id=run_id))
