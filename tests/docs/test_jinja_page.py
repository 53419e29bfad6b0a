"""docs/jinja.md is true: its project is loaded, and compiles to what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from dagster_models.cli.main import main
from dagster_models.project.files import MACROS, PACKAGES, TEMPLATES
from dagster_models.project.templates import JINJA_KEYS
from pages import Page
from paths import REPOSITORY
from project_cases import write_project

PAGE = Page.of("jinja.md")
_ORDERS = "select 1 as id, 150 as price, 30 as tax, date '2026-01-01' as ordered_at\n"


def test_the_project_of_the_page_compiles_to_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, _ = PAGE.blocks("yaml")
    files = {"dagster_models.yaml": settings, "models/staging/stg_orders.sql": _ORDERS}
    for block in PAGE.blocks("jinja"):
        path, text = re.match(r"\{# (\S+) #\}\n(.*)", block, re.DOTALL).groups()  # type: ignore[union-attr]
        files[path] = text
    monkeypatch.chdir(write_project(tmp_path, files))
    assert main(["check"]) == 0
    capsys.readouterr()
    assert main(["compile", "orders"]) == 0
    sent = [line for line in capsys.readouterr().out.split("\n") if line and "/* @" not in line]
    assert sent == PAGE.block("sql").splitlines()
    assert main(["compile", "orders", "--full"]) == 0
    assert "max(ordered_at)" not in capsys.readouterr().out


def test_the_settings_of_the_page_are_read(tmp_path: Path) -> None:
    whole, more = PAGE.blocks("yaml")
    read = yaml.safe_load(more)
    assert set(read["jinja"]) == set(JINJA_KEYS)
    write_project(tmp_path, {"dagster_models.yaml": "name: shop\n" + more, "models/a.sql": _ORDERS})
    assert main(["--project", str(tmp_path), "check"]) == 0
    assert yaml.safe_load(whole)["jinja"] is True


def test_the_folders_and_the_extra_have_these_names() -> None:
    for folder in (f"{TEMPLATES}/", f"{MACROS}/", f"{PACKAGES}/<package>/"):
        assert f"| `{folder}` |" in PAGE
    extra = PAGE.block("sh").split("[")[1].split("]")[0]
    assert re.search(rf"^{extra} = \[", (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE)
