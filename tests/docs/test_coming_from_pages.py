"""docs/coming_from_dbt.md and docs/coming_from_sqlmesh.md name what exists and show what runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from cli_cases import run
from dagster_models.cli.main import COMMANDS, main, parser
from dagster_models.compilation.sql_text import compile_step
from dagster_models.compilation.tasks import TargetStep, task_for
from dagster_models.core.model import Key
from dagster_models.processes.client.session import connect
from dagster_models.project.targets import usable_target
from pages import Page
from project_cases import load, write_project

DBT, SQLMESH = (Page.of(f"coming_from_{name}.md") for name in ("dbt", "sqlmesh"))


def table(page: Page, title: str) -> dict[str, str]:
    """Cell -> the one after it, of the table of a section."""
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", page.section(title), re.MULTILINE)
    return dict(rows[2:])


def test_every_block_is_used_below() -> None:
    assert DBT.count("\n```") == 2 * 5
    assert SQLMESH.count("\n```") == 2 * 3


def test_the_model_of_dbt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, model = DBT.block("jinja"), DBT.blocks("sql")[0]
    _, settings = DBT.blocks("yaml")
    files = {
        "dagster_models.yaml": settings,
        "models/marts/orders.sql": model,
        "models/marts/customers.sql": "select 1 as customer_id",
        "models/staging/stg_orders.sql": "select 1 as order_id, 1 as customer_id,"
        " timestamp '2024-01-01' as ordered_at",
        "models/staging/stg_payments.sql": "select 1 as order_id, 5.00 as amount",
    }
    project = load(write_project(tmp_path, files))
    assert project.warnings == ()
    step = project.steps[Key("marts", "orders")]
    assert {str(key) for key in step.upstream} >= {"staging.stg_orders", "staging.stg_payments"}
    assert {check.test for check in step.checks} == {"unique", "not_null", "relationships"}
    # What was not moved is an error with its place.
    (tmp_path / "models/marts/orders.sql").write_text(before)
    assert run(tmp_path, "check") == 1
    assert "models/marts/orders.sql:1:1: error: " in capsys.readouterr().out


def test_what_to_write_instead_of_other_merges(tmp_path: Path) -> None:
    """A version is counted up where the name is another one, and a row goes that is marked."""
    file = tmp_path / "shop.duckdb"
    files = {
        "dagster_models.yaml": f"name: shop\ntargets: {{dev: {{type: duckdb, path: {file}}}}}\n",
        "models/people.sql": DBT.blocks("sql")[1],
        "models/sources.yaml": "sources: [{name: main, tables: [raw_people]}]",
    }
    project = load(write_project(tmp_path, files), environ={})
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    target = TargetStep(project, step, usable_target(project))

    def built(attempt: int, *people: tuple[int, str, bool]) -> list[tuple[object, ...]]:
        with connect(target.address) as session:
            columns = "id int, name text, is_deleted bool"
            session.execute(f"create or replace table raw_people({columns})")
            session.execute(f"insert into raw_people values {', '.join(map(str, people))}")
            session.prepare(["main"])
            outcome = session.run(task_for(target, "r", attempt))
            assert outcome.error is None, outcome.error
            return session.query("select id, name, version from people order by id")

    assert len(built(1, (1, "Ann", False), (2, "Bob", False), (3, "Cy", False))) == 3
    later = built(2, (1, "Anna", False), (2, "Bob", False), (3, "Cyd", True), (4, "Di", False))
    assert later == [(1, "Anna", 2), (2, "Bob", 1), (4, "Di", 1)]


def test_a_dbt_project_begins_with_init_and_keeps_its_schema_yml(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {
        "models/marts/schema.yml": DBT.blocks("yaml")[0],
        "models/marts/orders.sql": "select 1 as order_id, 1 as customer_id",
        "models/marts/customers.sql": "select 1 as customer_id",
    }
    for path, text in kept.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert main(["init", str(tmp_path)]) == 0
    assert "DAGSTER_HOME=" in capsys.readouterr().out
    for path in ("definitions.py", "pyproject.toml", ".dagster_home/dagster.yaml"):
        assert (tmp_path / path).is_file()
    assert {path: (tmp_path / path).read_text() for path in kept} == kept
    project = load(tmp_path)
    assert {str(key) for key in project.steps} == {"marts.orders", "marts.customers"}
    step = project.steps[Key("marts", "orders")]
    assert {check.test for check in step.checks} == {"unique", "not_null", "relationships"}
    assert main(["init", str(tmp_path)]) == 1, "it refuses a project"


def commands(page: Page) -> list[list[str]]:
    """The commands in the right column of the table, completed where only a name stands."""
    found = []
    for cell in table(page, "On the command line").values():
        for code in re.findall(r"`([^`]+)`", cell):
            if code.startswith("dagster-models "):
                found.append(shlex.split(code)[1:])
    return found


COMPLETED = {"compile": "orders", "show": "orders", "sql": "select 1", "windows": "orders"}


@pytest.mark.parametrize("page", [DBT, SQLMESH], ids=["dbt", "sqlmesh"])
def test_the_commands_are_commands(page: Page) -> None:
    assert len(commands(page)) > 8
    for arguments in commands(page):
        if len(arguments) == 1 and arguments[0] in COMPLETED:
            arguments = [*arguments, COMPLETED[arguments[0]]]
        parser(COMMANDS).parse_args(arguments)  # exits for what it does not know


def test_the_selections_of_both_select(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "models/staging/stg_orders.sql": "select order_id from raw.orders",
        "models/marts/history.sql": "/* @model\nmaterialized: snapshot\nunique_key: order_id\n"
        "strategy: check\n*/\nselect order_id, 1 as n from stg_orders",
        "seeds/regions.csv": "a\n1\n",
        "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
    }
    root = write_project(tmp_path, files)
    asked = {arguments[1] for arguments in commands(DBT) if arguments[0] == "run" and arguments[1:]}
    for selection in sorted(word for word in asked if not word.startswith("-")):
        if selection not in ("days", "failed+", "source:raw+"):  # what the project lacks
            assert run(root, "ls", selection) == 0, capsys.readouterr().err


def test_the_model_of_sqlmesh(tmp_path: Path) -> None:
    model, settings = SQLMESH.block("sql"), SQLMESH.block("yaml")
    assert SQLMESH.blocks("sqlmesh")
    files = {
        "dagster_models.yaml": settings,
        "models/marts/airport_days.sql": model,
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: flights,"
        " columns: {day: {type: date}, airport: {type: text}}}]}]",
    }
    project = load(write_project(tmp_path, files))
    assert project.warnings == ()
    ((_, step),) = project.steps.items()
    assert step.config.automation is not None
    assert '"raw"."flights"' in str(compile_step(project, step, usable_target(project)))
