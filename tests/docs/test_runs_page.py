"""docs/runs.md is true: each block of it is read by what it is for."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from dagster_models.compilation.repeatable import repeatable
from dagster_models.definitions.executor import _CONFIG
from dagster_models.execution.options import ONLY_CHANGED_TAG
from paths import REPOSITORY
from project_cases import make

PAGE = (REPOSITORY / "docs" / "runs.md").read_text(encoding="utf-8")


def blocks(title: str, language: str) -> list[str]:
    (found,) = re.findall(rf"^###? {title}\n(.*?)(?=^###? |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", found, re.MULTILINE | re.DOTALL)


def config_of(block: str) -> dict[str, object]:
    """The run config of a block, each key of which the executor takes."""
    config: dict[str, object] = yaml.safe_load(block)["execution"]["config"]
    assert set(config) <= set(_CONFIG)
    return config


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 2


def test_only_what_has_changed(tmp_path: Path) -> None:
    (block,) = blocks("Only what has changed", "yaml")
    assert config_of(block) == {"only_changed": True}
    assert f"`{ONLY_CHANGED_TAG}`" in PAGE
    (text,) = blocks("What another build may change", "sql")
    sources = "sources: [{name: raw, tables: [flights]}]"
    project = make(tmp_path, {"models/m/a.sql": text, "models/sources.yaml": sources})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    assert repeatable(project, step).why_not == "" == "".join(repeatable(project, step).functions)
