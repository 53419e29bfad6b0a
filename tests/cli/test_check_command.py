"""``dagster-models check`` for programs, and while a project is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli_cases import run
from project_cases import write_project

FILES = {
    "models/marts/b.sql": "select nme\nfrom stg",
    "models/marts/ö b.sql": "select 1 as n",  # no name of an asset
    "models/staging/stg.sql": "select 1 as name",
    "models/staging/spare.sql": "select 1 as n from nowhere",
}


def test_sarif(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_project(tmp_path / "project", FILES)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert run(root, "check", "--format", "sarif") == 1
    log = json.loads(capsys.readouterr().out)
    (of_run,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = {rule["id"] for rule in of_run["tool"]["driver"]["rules"]}
    found = {}
    for result in of_run["results"]:
        assert result["ruleId"] in rules
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        found[physical["artifactLocation"]["uri"]] = (
            result["level"],
            physical["region"],
            result["message"]["text"].partition("\n")[0],
        )
    level, region, text = found["project/models/marts/b.sql"]
    assert (level, region) == ("error", {"startLine": 1, "startColumn": 8})
    assert "nme" in text
    assert found["project/models/marts/%C3%B6%20b.sql"][0] == "error"
    assert found["project/models/staging/spare.sql"][0] == "warning"


@pytest.mark.slow
def test_watch_reports_after_each_change_of_a_file_of_the_project(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project", {"models/a.sql": "select n from ("})
    command = [sys.executable, "-m", "dagster_models.cli", "check", "--watch", "--project", root]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    try:
        assert lines_to(watching, "1 error")
        (root / "target").mkdir(exist_ok=True)
        (root / "target/results.json").write_text("{}")  # ours: no reason to check again
        (root / ".a.sql.swp").write_text("")
        (root / "models/a.sql").write_text("select 1 as n")
        said = lines_to(watching, "No errors")
        assert [line for line in said if line.startswith("---")] == ["--- models/a.sql\n"]
        (root / "models/a.sql").unlink()
        (root / "models/b.sql").write_text("select m from a")
        said = lines_to(watching, "0 errors", "No errors", "1 error")
        assert "--- models/a.sql, models/b.sql\n" in said
    finally:
        watching.kill()
        watching.communicate()


def lines_to(process: subprocess.Popen[str], *ends: str) -> list[str]:
    """The lines up to the first one that begins with one of *ends*."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(ends):
            return lines
    raise AssertionError("".join(lines))
