"""One run on two projects whose steps have the same names: each keeps books of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dagster_models.reporting.journal import JournalContents, read_journal
from running import make_project

pytestmark = pytest.mark.slow

DEFINITIONS = """
from pathlib import Path
import dagster as dg
from dagster_models import load_project, models_executor

here = Path(__file__).parent
defs = dg.Definitions.merge(
    load_project(here, key_prefix="us"),
    load_project(here.parent / "eu" / "project", key_prefix="eu"),
    dg.Definitions(jobs=[dg.define_asset_job("test", executor_def=models_executor)]),
)
"""
MODELS = {
    "models/a.sql": "select 1 as n",
    "models/b.sql": "select n from a",
}


def journal_of(root: Path) -> JournalContents:
    (path,) = (root / "target" / "runs").glob("*.jsonl")
    return read_journal(path)


def test_each_project_keeps_its_own_books(tmp_path: Path) -> None:
    # Their own jobs are named test, too: the prefix keeps the three apart.
    us = make_project(tmp_path, {**MODELS, "definitions.py": DEFINITIONS})
    eu = make_project(tmp_path / "eu", {**MODELS, "models/a.sql": "select cast('x' as int) as n"})
    report = us.run()
    assert report.code == 1, report.stdout + report.stderr
    states = {
        project: {it.step: it.state for it in journal_of(project.root).steps}
        for project in (us, eu)
    }
    assert states[us] == {
        "main.a": "succeeded",
        "main.b": "succeeded",
        "eu__main__a": "failed",
        "eu__main__b": "skipped",
    }
    assert states[eu] == {
        "main.a": "failed",
        "main.b": "skipped",
        "us__main__a": "succeeded",
        "us__main__b": "succeeded",
    }
    (skipped,) = (it for it in journal_of(eu.root).steps if it.step == "main.b")
    assert (skipped.cause, skipped.cause_state) == ("main.a", "failed")
    assert skipped.path == ("main.a", "main.b")
    statuses = {}
    for project in (us, eu):
        results = json.loads((project.root / "target" / "run_results.json").read_text())["results"]
        statuses[project] = {it["unique_id"]: it["status"] for it in results}
    assert statuses[us] == {"model.test.a": "success", "model.test.b": "success"}
    assert statuses[eu] == {"model.test.a": "error", "model.test.b": "skipped"}
    assert "OK table eu__main__b" not in report.stdout
    assert "OK table us__main__b" in report.stdout
    assert us.rows("from main.b") == [(1,)]
