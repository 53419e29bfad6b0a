"""The journal: what a run that was killed, resumed or out of disk leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from dagster_models.core.model import KeepRuns
from dagster_models.errors import DagsterModelsError
from dagster_models.reporting.journal import (
    Journal,
    is_abandoned,
    latest_journal,
    prune_journals,
    read_journal,
    this_host,
)
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


def test_who_has_a_journal_executes_its_run(tmp_path: Path) -> None:
    here = replace(HEADER, host=this_host())
    assert not is_abandoned(tmp_path, HEADER.run_id), "there is no journal"
    with Journal(tmp_path, here):
        assert not is_abandoned(tmp_path, HEADER.run_id), "it is open"
    assert is_abandoned(tmp_path, HEADER.run_id)
    for elsewhere in ("", "another.example"):
        with Journal(tmp_path, replace(HEADER, host=elsewhere)):
            pass
        assert not is_abandoned(tmp_path, HEADER.run_id), "nobody here can know"
    with Journal(tmp_path, here) as journal:
        journal.end("failure", [], 1.0)
    assert not is_abandoned(tmp_path, HEADER.run_id), "Dagster may not have its end yet"


def old_journals(folder: Path, days: list[float]) -> dict[str, Path]:
    """Journals of ended runs that were written so many days ago, by these days."""
    found = {}
    for number, ago in enumerate(days):
        with Journal(folder, replace(HEADER, run_id=f"old-{number}")) as journal:
            journal.step(OK)
        when = time.time() - ago * 86400
        os.utime(journal.path, (when, when))
        found[f"{ago:g}"] = journal.path
    return found


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (KeepRuns(), range(1, 13)),
        (KeepRuns(number=4), range(1, 4)),
        (KeepRuns(number=1), ()),
        (KeepRuns(number=12, seconds=11.5 * 86400), range(1, 12)),
        (KeepRuns(seconds=86400), range(1, 10)),  # ten, whatever their age
    ],
)
def test_old_journals_are_removed(tmp_path: Path, keep: KeepRuns, left: Iterable[int]) -> None:
    old = old_journals(tmp_path, [float(days) for days in range(12, 0, -1)])
    (tmp_path / "runs" / "notes.txt").touch()
    with Journal(tmp_path, HEADER) as journal:
        prune_journals(journal.path, keep)
        assert not journal.is_removed()
    assert {days for days, path in old.items() if path.exists()} == {str(days) for days in left}
    assert (tmp_path / "runs" / "notes.txt").exists()


def test_the_journal_of_a_run_that_goes_on_is_not_removed(tmp_path: Path) -> None:
    """However old it is: another run of the project may take days."""
    with Journal(tmp_path, replace(HEADER, run_id="slow")) as slow:
        os.utime(slow.path, (0, 0))
        old = old_journals(tmp_path, [1.0])
        with Journal(tmp_path, HEADER) as journal:
            prune_journals(journal.path, KeepRuns(number=1))
        assert not slow.is_removed()
        slow.step(OK)
        assert not old["1"].exists()


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
