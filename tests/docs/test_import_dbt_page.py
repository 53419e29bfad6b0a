"""docs/import_dbt.md is true: its command is run on its model, and writes what it shows."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import duckdb
import pytest
import yaml

from dagster_models.cli import import_dbt
from dagster_models.cli.main import COMMANDS, main, parser
from dagster_models.core.adopted import ADOPTIONS
from dagster_models.dbt.project.manifest import SCHEMAS
from dagster_models.dbt.text.model_text import Way
from dagster_models.dbt.verification.relations import RelationState
from dagster_models.dbt.verification.texts import TextState
from dbt_cases import manifest_of, step
from pages import Page

PAGE = Page.of("import_dbt.md")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project `shop` of the page, in the current folder."""
    keyed = {"materialized": "incremental", "unique_key": "id"}
    sql = "select 1 as id, 'ann' as customer, current_date as ordered_at, 'new' as status"
    manifest_of(
        tmp_path / "shop",
        step("orders", config=keyed, raw_code=BLOCKS["jinja"]),
        step("stg_orders", raw_code=sql),
        project="name: shop\nvars: {no_status: lost}\n",
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_what_the_page_shows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(BLOCKS["sh"])[1:]) == 0
    written = (folder / "shop_models/models/marts/orders.sql").read_text()
    assert written.startswith("/* @model\n")
    assert written.endswith(f"*/\n{BLOCKS['sql']}")
    assert "\nsince: ordered_at\n" in written
    assert "no_status: lost" in (folder / "shop_models/dagster_models.yaml").read_text()
    assert "2  the source text" in capsys.readouterr().out
    assert main(["--project", "shop_models", "check"]) == 0
    capsys.readouterr()
    assert main(shlex.split(BLOCKS["sh"])[1:]) == 0
    assert "Files: 4 as they were" in capsys.readouterr().out


def test_the_command_keeps_templates(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = shlex.split(BLOCKS["zsh"])[1:]
    assert main([*command[:-1], command[-1].replace(" tag:hard", "")]) == 0
    assert "2  kept as a template" in capsys.readouterr().out
    written = (folder / "shop_models/models_jinja/marts/orders.sql").read_text()
    assert written.endswith(BLOCKS["jinja"].partition("\n")[2])
    settings = yaml.safe_load((folder / "shop_models/dagster_models.yaml").read_text())
    assert settings["jinja"] is True
    assert main(["--project", "shop_models", "check"]) == 0


def test_conflicts_end_with_exit_code_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-dbt", "shop"]) == 0
    (folder / "shop_models/models/marts/orders.sql").write_text("select 2 as id")
    manifest = folder / "shop/target/manifest.json"
    manifest.write_text(manifest.read_text().replace("customer, ordered_at", "ordered_at"))
    capsys.readouterr()
    assert main(["import-dbt", "shop", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["files"]["conflicts"] == ["models/marts/orders.sql"]
    assert report["ways"] == {"source": 2}
    kept = folder / "shop_models/.dagster_models_import"
    assert json.loads((kept / "report.json").read_text()) == report
    page = (kept / "report.html").read_text()
    assert "<code>models/marts/orders.sql</code>" in page
    assert "Conflicts" in page
    assert main(["import-dbt", "shop", "--accept"]) == 0


def test_the_commands_of_verification_print_what_the_page_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "shop/target_full/compiled").mkdir(parents=True)
    for line in BLOCKS["bash"].splitlines():
        assert main(shlex.split(line)[1:]) == 0
        assert "2 not compared\n" in capsys.readouterr().out
    assert {it for it in TextState if f"| `{it.value}` |" not in PAGE} == set()


def test_the_command_of_adoption_records_a_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(BLOCKS["sh"])[1:]) == 0
    settings = yaml.safe_load((folder / "shop_models/dagster_models.yaml").read_text())
    database = folder / "shop_models" / settings["targets"]["dev"]["path"]
    database.parent.mkdir()
    with duckdb.connect(str(database)) as it:
        it.execute("create schema marts")
        it.execute(
            "create table marts.stg_orders as"
            " select 1 as id, 'ann' as customer, current_date as ordered_at, 'new' as status"
        )
        it.execute("create table marts.orders as select * exclude (status) from marts.stg_orders")
    for line in BLOCKS["shell"].splitlines():
        assert main(shlex.split(line)[1:]) == 0
        assert "     1  adopted" in capsys.readouterr().out
    states = PAGE.section("Tables that dbt has built")
    assert {it for it in ADOPTIONS if f"| `{it}` |" not in states} == set()


def test_the_commands_that_need_dbt_are_read() -> None:
    """tests/dbt/test_verified_tables.py runs them where there is a dbt."""
    for line in BLOCKS["console"].splitlines():
        assert parser(COMMANDS).parse_args(shlex.split(line)[1:]).verify_tables
    for state in {it.value for it in RelationState}:
        assert f"| `{state}` |" in PAGE.section("Tables and tests")


def test_the_page_has_each_option_way_and_version() -> None:
    parser = argparse.ArgumentParser()
    import_dbt.add_arguments(parser)
    options = [it for action in parser._actions for it in action.option_strings if it[:2] == "--"]
    assert {it for it in options if f"`{it}" not in PAGE} == {"--help"}
    assert {way for way in Way if f"| {way.value} |" not in PAGE} == set()
    assert (min(SCHEMAS.values()), "dbt 1.5 to 1.12, and 2.0" in PAGE) == ("1.5", True)


def test_a_wrong_call_is_exit_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-dbt", "shop", "--vars", "[1]"]) == 2
    assert main(["import-dbt", "nothing"]) == 1
    assert "no dbt project: it has no dbt_project.yml" in capsys.readouterr().err
