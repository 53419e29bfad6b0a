"""docs/commands.md is true: each block of it is run here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli_cases import run
from dagster_models import load_project
from dagster_models.project.selection import _FACTS, _METHODS
from paths import REPOSITORY
from running import make_project

PAGE = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
FILES = {
    "models/staging/stg_orders.sql": "/* @model tags: [nightly] */ select 1 as id",
    "models/staging/stg_items.sql": "select 1 as id",
    "models/marts/orders.sql": "select o.id from stg_orders as o join stg_items using (id)",
    "models/marts/late.sql": "/* @model tags: [nightly] */ select id from orders",
    "models/marts/later.sql": "/* @model tags: [nightly] */ select id from late",
}


def blocks(title: str, language: str) -> list[str]:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 2


def test_selecting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (commands,) = blocks("Selecting", "sh")
    (jobs,) = blocks("Selecting", "yaml")
    project = make_project(tmp_path, FILES, jobs)
    found = []
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "dagster-models"
        assert run(project.root, *arguments) == 0, capsys.readouterr().err
        lines = capsys.readouterr().out.splitlines()
        found.append({name.split()[0].partition(".")[2] for name in lines})
    everything = {"stg_orders", "stg_items", "orders", "late"}
    assert found == [
        everything - {"stg_items"} | {"later"},
        everything - {"late"},
        everything,
        {"later"},
        {"stg_orders", "orders"},
    ]
    definitions = load_project(project.root)
    selected = {
        name: {
            key.path[-1]
            for key in definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        }
        for name in ("nightly", "marts", "theirs")
    }
    assert selected["nightly"] == {"stg_orders", "orders", "late", "later"}
    assert selected["marts"] == everything | {"later"}
    assert selected["theirs"] == {"orders", "later"}
    for word in (*_FACTS, *(f"{method}:" for method in _METHODS)):
        assert f"`{word}`" in PAGE
