"""``dagster-models init``: what it writes runs on the fast event log; it overwrites nothing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dagster import DagsterInstance

from dagster_models.cli.main import main
from dagster_models.definitions.stock_event_log import uses_stock_event_log
from dagster_models.storage import PooledSqliteEventLogStorage
from running import DAGSTER


@pytest.mark.slow
def test_what_it_prints_runs_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "my shop" / "shop"
    assert main(["init", str(folder)]) == 0
    commands = capsys.readouterr().out.splitlines()[2:]
    assert commands[-1] == "dagster dev -f definitions.py"
    script = "\n".join(commands[:-1])
    path = f"{Path(DAGSTER).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-ec", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done. PASS=1 " in done.stdout
    home = folder / ".dagster_home"
    assert not uses_stock_event_log(home)
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, PooledSqliteEventLogStorage)
        (run,) = instance.get_runs()
        assert run.is_success


def test_it_refuses_a_project_and_keeps_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "1st-project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / ".gitignore").write_text("mine\n")
    assert main(["init"]) == 0
    told = capsys.readouterr().out
    assert ".gitignore is there already and stays as it is" in told
    assert "cd " not in told
    assert (folder / ".gitignore").read_text() == "mine\n"
    assert "name: my_project\n" in (folder / "dagster_models.yaml").read_text()
    assert main(["check"]) == 0
    assert main(["init"]) == 1
    assert "choose another folder" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", str(tmp_path / "file" / "project")]) == 1
    assert "cannot be written: Not a directory" in capsys.readouterr().err
