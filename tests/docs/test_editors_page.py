"""docs/editors.md is true: its schemas are written, its hook is the one of this repository."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from cli_cases import run
from dagster_models.cli.main import COMMANDS, parser
from dagster_models.project.files import DESCRIBED
from dagster_models.project.unit_tests.read import FOLDER
from pages import Page
from paths import REPOSITORY
from project_cases import write_project

PAGE = Page.of("editors.md")


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 4


def test_the_schemas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = write_project(
        tmp_path,
        {"dagster_models.yaml": PAGE.blocks("yaml")[0], "models/marts/a.sql": "select 1 as n"},
    )
    assert run(project, "check") == 0, capsys.readouterr().out
    assert run(project, "schemas") == 0
    written = {path.name for path in (project / "target/schemas").iterdir()}
    assert written == set(re.findall(r"`(\w+\.json)`", PAGE))
    (settings,) = map(json.loads, PAGE.blocks("json"))
    named = re.findall(r"\$schema=(\S+)", PAGE)
    for path in (*settings["yaml.schemas"], *named):
        assert json.loads((project / path).read_text())["title"]
    for files in settings["yaml.schemas"].values():  # those that a project reads
        for pattern in [files] if isinstance(files, str) else files:
            folder, _, name = pattern.rpartition("/")
            assert folder.partition("/")[0] in ("", *DESCRIBED, FOLDER)
            assert name in ("dagster_models.yaml", "*.yml", "*.yaml")


def test_the_hook_and_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    (theirs,) = yaml.safe_load(PAGE.blocks("yaml")[1])["repos"][0]["hooks"]
    assert {**ours[0], "language": "system"} == {"description": ours[0]["description"], **theirs}
    root = write_project(tmp_path, {"models/a.sql": "select 1 as n"})
    arguments = shlex.split(theirs["entry"])[1:]
    assert run(root, *arguments) == 0
    (root / "models/a.sql").write_text("select n from (")
    assert run(root, *arguments) == 1
    for command in re.findall(r"dagster-models ([^`\n]+)", PAGE):
        parser(COMMANDS).parse_args(shlex.split(command))
