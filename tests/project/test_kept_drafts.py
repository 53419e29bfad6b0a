"""Drafts that one load leaves to the next one: only where nothing that they rest on has changed."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from dagster_models.project.drafts import drafts as made
from dagster_models.project.drafts.kept import KeptDrafts
from project_cases import load, write_project

FILES = {
    "dagster_models.yaml": "name: p\nvars: {early: 1}\n",
    "models/raw/a.sql": "/* @model\nmaterialised: table\n*/\nselect 1 as x",
    "models/raw/b.sql": "select x, '{{ var(1) }}' as y, $early as z from raw.a",
    "models/raw/c.sql": "/* @model\nchecks: [{positive: {least: 0}}]\n*/\nselect x from raw.a",
    "models/raw/e.sql": "select {{ ref('d') }} as x",
    "models/raw/_.yaml": "models: [{name: a, description: of a}]\n",
    "models/raw/odd.sql": "/* @model\nmaterialized: kinds.Odd\n*/\nselect 1 as x",
    "models/raw/of_late.sql": "/* @model\nmaterialized: late.Odd\n*/\nselect 1 as x",
    "kinds.py": "class Odd:\n    def build(self, warehouse, model): pass\n",
    "checks/positive.sql": "/* @check\narguments: {least: number}\n*/\n"
    "select * from $this where x < $least",
}
CHANGES = {
    "nothing": {},
    "a model": {"models/raw/a.sql": "/* @model\nmaterialized: table\n*/\nselect 2 as x"},
    "a model that does not parse": {"models/raw/a.sql": "select from where"},
    "the settings": {"dagster_models.yaml": "name: p\nmodels: {raw: {materialized: table}}\n"},
    "a variable of the project": {"dagster_models.yaml": "name: p\nvars: {late: 1}\n"},
    "the type of a variable": {"dagster_models.yaml": "name: p\nvars: {early: true}\n"},
    "what YAML says of a model": {"models/raw/_.yaml": "models: [{name: b, description: of b}]\n"},
    "a query with arguments": {
        "checks/positive.sql": "/* @check\nseverity: warn\narguments: {least: number}\n*/\n"
        "select * from $this where x <= $least"
    },
    "a new file": {"models/raw/d.sql": "select 1 as x"},
    "a file that is gone": {"models/raw/b.sql": None},
    "the class of a kind that was not there": {
        "late.py": "class Odd:\n    def build(self, warehouse, model): pass\n"
    },
    "the class of a kind": {
        "kinds.py": "class Odd:\n    def build(self, warehouse, model): return 1\n"
    },
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_load_with_kept_drafts_is_as_one_without(change: str, tmp_path: Path) -> None:
    root, drafts = write_project(tmp_path / "p", FILES), KeptDrafts()
    before = load(root, whole=False, drafts=drafts)
    assert len(before.warnings) == 4  # problems of drafts are kept with them
    for path, text in CHANGES[change].items():
        (root / path).unlink() if text is None else (root / path).write_text(text)
    after = load(root, whole=False, drafts=drafts)
    assert after == load(root, whole=False)
    assert (after == before) is (change == "nothing")


def test_only_what_has_changed_is_drafted_again(tmp_path: Path) -> None:
    root, drafts = write_project(tmp_path / "p", FILES), KeptDrafts()
    load(root, whole=False, drafts=drafts)
    (root / "models/raw/a.sql").write_text("select 2 as x")
    with mock.patch.object(made, "draft_sql", wraps=made.draft_sql) as draft_sql:
        load(root, whole=False, drafts=drafts)
    drafted = [call.args[0].path for call in draft_sql.call_args_list]
    assert drafted == ["models/raw/a.sql", "models/raw/odd.sql", "models/raw/of_late.sql"]
