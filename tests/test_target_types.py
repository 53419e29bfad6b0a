"""The table of warehouse types says what the package, its drivers and its pages say."""

from __future__ import annotations

import re
from importlib import import_module

import pytest

from dagster_models.core.target_types import TargetType, own_types
from dagster_models.warehouses.base import Capabilities
from paths import REPOSITORY

ROWS = own_types().values()


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_has_its_folder_its_driver_and_its_extra(row: TargetType) -> None:
    module = import_module(row.module)
    assert isinstance(module.CAPABILITIES, Capabilities)
    assert module.CAPABILITIES.name == row.name
    assert callable(module.connect)
    names = [setting.name for setting in row.settings]
    assert len(names) == len(set(names))
    assert not row.file_setting or row.file_setting in names
    if row.extra:
        project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        assert re.search(rf"^{row.extra} = \[", project, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_page_names_every_setting(row: TargetType) -> None:
    page = (REPOSITORY / "docs" / "warehouses.md").read_text(encoding="utf-8")
    assert f"type: {row.name}" in page
    for setting in row.settings:
        assert re.search(rf"\b{setting.name}\b", page), f"{row.name}: {setting.name}"
