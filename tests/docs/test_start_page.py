"""docs/index.md: the first project, as a reader makes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dagster import DefaultScheduleStatus, DefaultSensorStatus

from cli_cases import run
from commands import shell
from dagster_models.cli.main import main
from dagster_models.core.model import Key
from pages import Page
from project_cases import load

PAGE = Page.of("index.md")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


@pytest.mark.slow
def test_the_first_project(tmp_path: Path) -> None:
    install, first, later = blocks("sh")
    pip, init = install.splitlines()
    assert pip.startswith("pip install 'dagster-models[")
    said = shell(tmp_path, init, first)
    assert " ERROR=0 SKIP=0 CANCEL=0 " in said
    ui = re.search(r"`(DAGSTER_HOME=.* dagster dev)`", PAGE)
    assert ui is not None
    for command in (first.strip().removeprefix("cd shop"), ui[1]):
        assert f"{command}\n" in said, "init prints the same commands"
    project = tmp_path / "shop"
    marts, staging = blocks("sql")
    (project / "models/staging").mkdir(exist_ok=True)
    (project / "models/marts/customers.sql").write_text(marts)
    (project / "models/staging/stg_orders.sql").write_text(staging)
    (settings,), (definitions,) = blocks("yaml"), blocks("python")
    (project / "dagster_models.yaml").write_text(settings)
    (project / "definitions.py").write_text(definitions)
    assert " 10 " in " ".join(shell(project, later).split())
    assert run(project, "check") == 0


def test_the_definitions(tmp_path: Path) -> None:
    (settings,), (definitions,) = blocks("yaml"), blocks("python")
    (tmp_path / "models/marts").mkdir(parents=True)
    (tmp_path / "models/marts/a.sql").write_text("select 1 as n")
    (tmp_path / "dagster_models.yaml").write_text(settings)
    names: dict[str, object] = {"__file__": str(tmp_path / "definitions.py")}
    exec(definitions, names)
    repository = names["defs"].get_repository_def()  # type: ignore[attr-defined]
    (schedule,) = repository.schedule_defs
    assert schedule.default_status == DefaultScheduleStatus.RUNNING
    (sensor,) = repository.sensor_defs
    assert (sensor.name, sensor.default_status) == ("report", DefaultSensorStatus.RUNNING)


def test_the_models_are_tables_in_the_project_that_init_makes(tmp_path: Path) -> None:
    assert "It is a table\ntoo" in PAGE
    assert main(["init", str(tmp_path / "shop")]) == 0
    for folder, text in zip(("marts", "staging"), blocks("sql"), strict=True):
        (tmp_path / "shop/models" / folder).mkdir(exist_ok=True)
        name = {"marts": "customers", "staging": "stg_orders"}[folder]
        (tmp_path / f"shop/models/{folder}/{name}.sql").write_text(text)
    steps = load(tmp_path / "shop").steps
    assert {
        steps[Key("staging", "stg_orders")].built_as,
        steps[Key("marts", "customers")].built_as,
    } == {"table"}
