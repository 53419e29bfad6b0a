"""docs/warehouse_authors.md is true: a package by its entry point, and the suite that asks it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_models.core import target_types
from dagster_models.core.model import Key
from dagster_models.errors import ProjectError, WarehouseError
from dagster_models.project.json_schemas import json_schemas
from dagster_models.warehouses.base import Capabilities
from pages import Page
from paths import DATA, REPOSITORY
from project_cases import load, write_project

PAGE = Page.of("warehouse_authors.md")
PACKAGE = DATA / "warehouse_package"
ENTRY, COMMAND = PAGE.blocks("(?:toml|sh)")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(PACKAGE))
    caches = (target_types._entry_points, target_types._offered)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def project(folder: Path, type_: str) -> Path:
    text = f"name: p\ntargets:\n  dev: {{type: {type_}, path: w.duckdb}}\n"
    return write_project(folder, {"dagster_models.yaml": text, "models/a.sql": "select 1 as n"})


def test_the_entry_point_of_the_page_is_that_of_the_package() -> None:
    points = (PACKAGE / "mine-1.0.dist-info" / "entry_points.txt").read_text()
    assert f'"{target_types.ENTRY_POINTS}"' in ENTRY
    assert ENTRY.splitlines()[1].replace('"', "") in points


def test_a_project_names_the_type_of_a_package(installed: None, tmp_path: Path) -> None:
    loaded = load(project(tmp_path, "mine"))
    assert loaded.targets["dev"].type is target_types.target_type("mine")
    assert Key("main", "a") in loaded.steps
    assert "mine" in target_types.type_names()


@pytest.mark.parametrize(
    ("type_", "what"),
    [
        ("broken", "mine offers it as mine:NOTHING, and it cannot be loaded"),
        ("other", "it is no TargetType with the name 'other'"),
        ("nobodys", "unknown target type `nobodys`"),
    ],
)
def test_an_entry_point_that_is_wrong_has_the_line_of_its_target(
    installed: None, tmp_path: Path, type_: str, what: str
) -> None:
    with pytest.raises(ProjectError, match=re.escape(what)) as caught:
        load(project(tmp_path, type_))
    assert caught.value.problems[0].line == 3
    with pytest.raises(WarehouseError):
        target_types.target_type(type_)
    assert json_schemas(), "only that target is wrong"


def test_the_promises_name_what_the_interface_has() -> None:
    named = set(re.findall(r"`capabilities\.(\w+)", PAGE, re.IGNORECASE))
    assert named == {"publishing", "lacks"}
    assert named <= set(Capabilities.__dataclass_fields__)


@pytest.mark.parametrize("has", ["", "indexes"])
def test_the_suite_asks_the_package_and_nobody_else(has: str) -> None:
    """It fails where the package says that it has what it does not have."""
    program, *words = COMMAND.split()
    files = ["tests/warehouses/test_conformance.py", "-k", "rollback or indexes or of_the_docs"]
    done = subprocess.run(
        [sys.executable, "-m", program, *words, *files, "-p", "no:cacheprovider", "-q"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(PACKAGE), "MINE_SAYS_THAT_IT_HAS": has},
        capture_output=True,
        text=True,
        timeout=120,
    )
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|x?failed)", done.stdout)}
    assert counts == {"passed": 1, "failed" if has else "xfailed": 2}, done.stdout
    assert re.search(r"^ +duckdb .* mine *$", done.stdout, re.MULTILINE)
