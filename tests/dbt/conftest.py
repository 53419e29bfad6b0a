"""A small dbt project with what a real dbt has compiled of it (tests/data/dbt_shop)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[1] / "data/dbt_shop"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the project, with its manifest where dbt writes it."""
    folder = tmp_path / "shop"
    shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("make.py", "incremental.json"))
    (folder / "target").mkdir()
    (folder / "manifest.json").rename(folder / "target/manifest.json")
    return folder
