"""Kinds that a project defines itself, when it is loaded: nothing of them runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.core.model import Key, Project
from project_cases import make, report_of, write_project

MODEL = "/* @model\nmaterialized: kinds.mine.Mine\nsettings: {keep: 3}\n*/\nselect 1 as x"
KIND = """from dagster_models.kinds import Kind
from helpers import words

raise RuntimeError("nobody runs me at load")

class Mine(Kind):
    def build(self, warehouse, model):
        warehouse.execute(words.CREATE)
"""
FILES = {"models/m.sql": MODEL, "kinds/mine.py": KIND, "helpers/words.py": "CREATE = 'x'\n"}


def version(project: Project) -> str:
    return project.steps[Key("main", "m")].code_version


def test_its_code_is_part_of_the_version(tmp_path: Path) -> None:
    project = make(tmp_path / "a", FILES)
    assert project.warnings == ()
    step = project.steps[Key("main", "m")]
    assert step.kind_path == "kinds/mine.py"
    assert dict(step.config.settings) == {"keep": 3}
    changed = {
        "kinds/mine.py": KIND.replace("words.CREATE", "words.CREATE + ''"),
        "helpers/words.py": "CREATE = 'y'\n",
        "models/m.sql": MODEL.replace("keep: 3", "keep: 4"),
    }
    for at, (path, text) in enumerate(changed.items()):
        other = make(tmp_path / str(at), {**FILES, path: text})
        assert version(other) != version(project), path
    comment = make(tmp_path / "c", {**FILES, "kinds/mine.py": f"# hello\n{KIND}"})
    assert version(comment) == version(project)


CLASS = "class Mine(Kind):\n"
REFUSED = {
    "no file": ({"models/m.sql": MODEL.replace("mine", "other")}, "models/m.sql:2", "other.py"),
    "no class": ({"kinds/mine.py": "class Mime: pass\n"}, "models/m.sql:2", "no class `Mine`"),
    "no Python": ({"kinds/mine.py": "class Mine(:\n"}, "kinds/mine.py:1", "Python"),
    "no build": ({"kinds/mine.py": f"{CLASS}    pass\n"}, "kinds/mine.py:1", "no method `build`"),
    "another build": (
        {"kinds/mine.py": f"{CLASS}    def build(self, warehouse):\n        pass\n"},
        "kinds/mine.py:2",
        "`Mine.build` does not take a warehouse and a model",
    ),
    "a setting": (
        {"models/m.sql": MODEL.replace("keep: 3", "keep: 2026-01-01")},
        "models/m.sql:3",
        "cannot be a setting",
    ),
    "a setting of another kind": (
        {"models/m.sql": MODEL.replace("kinds.mine.Mine", "table")},
        "models/m.sql:3",
        "`settings` has no effect on `materialized: table`",
    ),
    "a key of another kind": (
        {"models/m.sql": MODEL.replace("settings: {keep: 3}", "unique_key: x")},
        "models/m.sql:3",
        "`unique_key` has no effect on `materialized: kinds.mine.Mine`",
    ),
    "a Python model": (
        {
            "models/p.py": '"""\n@model\nmaterialized: kinds.mine.Mine\n"""\n'
            "def model(warehouse):\n    return []\n"
        },
        "models/p.py:3",
        "a Python model is always a table",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path: Path, name: str) -> None:
    files, place, what = REFUSED[name]
    report = report_of(write_project(tmp_path, {**FILES, **files}))
    assert place in report
    assert what in report
