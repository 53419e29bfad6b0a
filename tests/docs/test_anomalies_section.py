"""The part on anomalies of docs/checks.md is true: its model is loaded, and sends what it says."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.tasks import BuildTask
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import make

PAGE = Page.of("checks.md")
SECTION = PAGE.section("Anomalies")
MODEL, SENT = SECTION.blocks("sql")


def test_the_model_and_what_is_sent(tmp_path: Path) -> None:
    sources = "sources: [{name: raw, tables: [people]}]"
    project = make(tmp_path, {"models/sources.yaml": sources, "models/people.sql": MODEL})
    assert project.warnings == ()
    (step,) = project.steps.values()
    it = TargetStep(project, step, usable_target(project))
    task = task_for(replace(it, histories={"row_count": (100, 110)}), "r", 1)
    assert isinstance(task, BuildTask)
    checks = {check.name: check for check in task.checks}
    assert sorted(checks) == ["anomaly", "anomaly_email", "anomaly_updated_at", "row_count"]
    check = checks["row_count"]
    sent = check.sent(check.number, task.relation.quoted, ())
    # The page breaks a line where the SQL has none, and rounds the bounds.
    sent = re.sub(r"(\d+\.\d)\d+", lambda number: f"{float(number[0]):.1f}", sent)
    assert " ".join(sent.split()) == " ".join(SENT.split())
    assert all("nothing to compare with" in it.number for it in checks.values() if it != check)
