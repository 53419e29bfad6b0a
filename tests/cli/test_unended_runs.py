"""What `results`, `explain` and `report` say of a run that goes on or was killed: its journal has
no end, and nothing of the steps that are in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_cases import run
from dagster_models.core.messages import TaskError
from dagster_models.errors import ErrorKind
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.results import RunHeader, StepResult
from running import make_project

STEPS = ("main.a", "main.b")


@pytest.mark.parametrize("ended", [0, 1])
def test_it_has_not_completed(
    ended: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_project(tmp_path, {"models/a.sql": "select 1 as n"}).root
    with Journal(root / "target", RunHeader("r1", "test", "dev", 100.0, STEPS, "1", 2)) as journal:
        for step in STEPS[:ended]:
            error = TaskError(ErrorKind.OTHER, "it is broken")
            took = {"started_at": 101.0, "ready_at": 101.0, "ended_at": 102.0}
            journal.step(StepResult(step, "sql", "table", "failed", error=error, **took))  # type: ignore[arg-type]

    def said(command: str) -> str:
        code = run(root, command)
        assert code == (command == "results")
        return capsys.readouterr().out

    results = said("results")
    assert f"{ended} of 2 steps ended, and the run has not: it is still running" in results
    assert "Completed" not in results
    assert "Finished" not in results
    assert results.count("it is broken") == 2 * ended, "once more at the end"
    explained = said("explain")
    assert f"{ended} of 2 steps ended" in explained
    said("report")
    (page,) = (root / "target/runs").glob("*.html")
    for text in (explained, page.read_text()):
        assert ("No step has ended." in text) == (not ended)
        assert "started" not in text
