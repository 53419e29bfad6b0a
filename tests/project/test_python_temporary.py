"""Temporary tables of Python files that bear the name of something of the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.tasks import PythonTask, TargetStep, task_for
from dagster_models.core.model import Key, Project
from dagster_models.project.targets import usable_target
from project_cases import load, write_project

BASE = {
    "dagster_models.yaml": "name: p\n",
    "models/raw/orders.sql": "select 1 as id",
    "models/raw/paid.sql": "select 1 as id",
}
CREATE = "warehouse.execute('create temp table orders as select * from {}')\n"
READ = "warehouse.sql('select * from orders')\n"


def loaded(root: Path, code: str) -> Project:
    return load(write_project(root, {**BASE, "models/marts/m.py": code}))


def model(*lines: str) -> str:
    return "def model(warehouse):\n" + "".join(f"    {line}" for line in lines)


def edges(project: Project) -> list[str]:
    return [str(key) for key in project.steps[Key("marts", "m")].upstream]


def sent(project: Project) -> dict[str, str]:
    """What is sent for each text of the model."""
    target = usable_target(project, None)
    task = task_for(TargetStep(project, project.steps[Key("marts", "m")], target), "run", 1)
    assert isinstance(task, PythonTask)
    return dict(task.queries)


def test_a_temporary_table_made_of_the_model_of_its_name(tmp_path: Path) -> None:
    project = loaded(tmp_path, model(CREATE.format("orders"), READ))
    assert edges(project) == ["raw.orders"]
    assert project.warnings == ()
    create, read = sent(project).items()
    assert create[1] == 'create temp table orders as select * from "raw"."orders"'
    assert read[1] == read[0] == "select * from orders"


@pytest.mark.parametrize(
    "code",
    [
        model(CREATE.format("raw.paid"), READ),
        model(CREATE.format("raw.paid"), "if x:\n", "    " + READ),
        model("with x:\n", "    " + CREATE.format("raw.paid"), "    " + READ),
        model("if x:\n", "    " + CREATE.format("raw.paid"), "    " + READ),
        model(CREATE.format("raw.paid"), "warehouse.sql('select * from temp.orders')\n"),
        model("warehouse.execute('create temp table orders as from paid; from orders')\n"),
        model("warehouse.execute(f'create temp table orders as from paid where id = {x}')\n", READ),
        model(CREATE.format("raw.paid").replace("table", "view"), READ),
    ],
)
def test_after_the_call_that_made_it_the_name_is_the_temporary_tables(
    tmp_path: Path, code: str
) -> None:
    project = loaded(tmp_path, code)
    assert edges(project) == ["raw.paid"]
    assert not any("orders" in warning.what for warning in project.warnings)


@pytest.mark.parametrize(
    "code",
    [
        model(READ, CREATE.format("raw.paid")),
        model("warehouse.sql('from orders')\n", CREATE.format("orders"), READ),
        CREATE.format("paid").join(["from dagster_models import warehouse\n" + READ, ""]),
    ],
)
def test_before_it_is_made_the_name_is_the_models(tmp_path: Path, code: str) -> None:
    if not code.startswith("def"):
        code = code + "def model(warehouse): return []\n"
    project = loaded(tmp_path, code)
    assert edges(project)[0] == "raw.orders"
    assert project.warnings == ()


@pytest.mark.parametrize(
    "code",
    [
        model("if x:\n", "    " + CREATE.format("raw.paid"), READ),
        model("if x:\n", "    " + CREATE.format("raw.paid"), "else:\n", "    " + READ),
        model("for x in y:\n", "    " + READ, "    " + CREATE.format("raw.paid")),
        model("for x in y:\n", "    " + CREATE.format("orders")),
        model("try:\n", "    " + CREATE.format("raw.paid"), "except E:\n", "    " + READ),
        model("x and " + CREATE.format("raw.paid"), READ),
        model(READ, CREATE.format("raw.paid"), READ),
        model(CREATE.format("raw.paid"), "warehouse.execute('drop table orders')\n", READ),
        "def make(warehouse):\n    "
        + CREATE.format("raw.paid")
        + "def read(warehouse):\n    "
        + READ
        + model("read(warehouse)\n", "make(warehouse)\n"),
        "def read(warehouse):\n    " + READ + model("read(warehouse)\n", CREATE.format("raw.paid")),
    ],
)
def test_where_the_order_is_not_certain_there_is_a_warning(tmp_path: Path, code: str) -> None:
    project = loaded(tmp_path, code)
    assert "raw.orders" not in edges(project)
    assert {warning.what for warning in project.warnings} == {
        "`orders` may be the temporary table of that name or raw.orders"
    }
    assert all("raw" not in text or "paid" in text for text in sent(project).values())
    declared = f'"""\n@model\nupstream: [raw.orders, raw.paid]\n"""\n{code}'
    assert loaded(tmp_path, declared).warnings == ()


def test_a_name_of_its_own_needs_no_order(tmp_path: Path) -> None:
    code = (CREATE.format("raw.paid") + READ).replace("orders", "recent")
    make, read = code.splitlines(keepends=True)
    project = loaded(
        tmp_path,
        f"def make(warehouse):\n    {make}def read(warehouse):\n    {read}"
        + model("make(warehouse)\n", "read(warehouse)\n"),
    )
    assert edges(project) == ["raw.paid"]
    assert project.warnings == ()
