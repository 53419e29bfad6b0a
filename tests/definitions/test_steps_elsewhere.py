"""Under an executor that runs steps on other machines, a step says what it loses."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from dagster_models import load_project
from dagster_models.definitions import steps_elsewhere
from running import make_project


def warnings_of(project: Path) -> list[str]:
    defs = load_project(project)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(list(defs.assets or ()), instance=instance)
        assert result.success
        logs = instance.all_logs(result.run_id)
        return [it.user_message for it in logs if it.level == 30]


def test_each_step_says_it_and_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"})
    assert warnings_of(project.root) == []
    elsewhere = {**steps_elsewhere.ELSEWHERE, "execute_in_process_executor": "in a pod of its own"}
    monkeypatch.setattr(steps_elsewhere, "ELSEWHERE", elsewhere)
    (said,) = warnings_of(project.root)
    assert said.startswith(f"{project.database} is a file: unless it is on a volume that all")
    assert "runs each step in a pod of its own" in said
    assert "fail_fast" in said
    assert project.rows("select n from main.a") == [(1,)]
