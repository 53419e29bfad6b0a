"""Attempts that follow a failure: how they are counted, reported and forbidden."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import IN_PROCESS, make_project

pytestmark = pytest.mark.slow


RETRIED = """
'''
@model
retries: 2
'''
from pathlib import Path

def model(warehouse):
    tries = Path("tries")
    count = int(tries.read_text()) + 1 if tries.exists() else 1
    tries.write_text(str(count))
    if count < 3:
        raise ValueError(f"try {count}")
    return [{"n": count}]
"""


IN_VAIN = RETRIED.replace("ValueError(f", "dagster.Failure(allow_retries=False, description=f")


def test_retries_are_reported_and_counted(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/flaky.py": RETRIED})
    report = project.run()
    assert report.code == 0, report.stdout + report.stderr
    assert project.rows("select n from main.flaky") == [(3,)]
    assert [t for s, t, _ in report.events if s == "main__flaky"].count("STEP_UP_FOR_RETRY") == 2
    assert report.stdout.count("RETRY") == 2
    assert report.journal is not None
    assert report.journal.steps[0].attempt == 3


@pytest.mark.parametrize("executor", ["models_executor", "in_process"])
def test_a_failure_that_forbids_retries_has_none(tmp_path: Path, executor: str) -> None:
    text = IN_VAIN.replace("from pathlib", "import dagster\nfrom pathlib")
    project = make_project(tmp_path, {"models/flaky.py": text})
    if executor == "in_process":
        project.write({"definitions.py": IN_PROCESS})
    report = project.run()
    assert report.code == 1
    assert (project.root / "tries").read_text() == "1"
    assert "STEP_UP_FOR_RETRY" not in {kind for _, kind, _ in report.events}


def test_retries_can_be_disabled(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/flaky.py": RETRIED})
    report = project.run({"retries": {"disabled": {}}})
    assert report.code == 1
    assert report.states() == {"main.flaky": "failed"}
