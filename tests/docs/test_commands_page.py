"""docs/commands.md is true: each block of it is run here."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from cli_cases import git, run
from dagster_models import load_project
from dagster_models._dagster.partitions import RANGE_END_TAG
from dagster_models.cli import run as run_command
from dagster_models.cli.main import COMMANDS, main, parser
from dagster_models.cli.shell import _COMMANDS
from dagster_models.execution.options import (
    CHECKS_TAG,
    FAIL_FAST_TAG,
    FULL_REFRESH_TAG,
    ONLY_CHANGED_TAG,
    TARGET_TAG,
)
from dagster_models.execution.run_variables import VARS_TAG
from dagster_models.project.selection import _FACTS, _METHODS
from dagster_models.reporting.journal import Journal
from dagster_models.reporting.results import RunHeader, StepResult
from pages import Page
from running import make_project

DAYS = """/* @model
materialized: incremental
partitions: {by: day, of: days}
*/
select date '2024-01-01' as day"""
PAGE = Page.of("commands.md")
FILES = {
    "models/staging/stg_orders.sql": "/* @model tags: [nightly] */ select 1 as id",
    "models/staging/stg_items.sql": "select 1 as id",
    "models/marts/orders.sql": "select o.id from stg_orders as o join stg_items using (id)",
    "models/marts/late.sql": "/* @model tags: [nightly] */ select id from orders",
    "models/marts/later.sql": "/* @model tags: [nightly] */ select id from late",
}


def test_every_block_is_used_below() -> None:
    assert PAGE.count("\n```") == 2 * 13


def test_selecting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = PAGE.section("Selecting").blocks("sh")[0]
    jobs = PAGE.section("Selecting").block("yaml")
    project = make_project(tmp_path, FILES, jobs)
    found = []
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "dagster-models"
        assert run(project.root, *arguments) == 0, capsys.readouterr().err
        lines = capsys.readouterr().out.splitlines()
        found.append({name.split()[0].partition(".")[2] for name in lines})
    everything = {"stg_orders", "stg_items", "orders", "late"}
    assert found == [
        everything - {"stg_items"} | {"later"},
        everything - {"late"},
        everything,
        {"later"},
        {"stg_orders", "orders"},
    ]
    definitions = load_project(project.root)
    selected = {
        name: {
            key.path[-1]
            for key in definitions.resolve_job_def(name).asset_layer.selected_asset_keys
        }
        for name in ("nightly", "marts", "theirs")
    }
    assert selected["nightly"] == {"stg_orders", "orders", "late", "later"}
    assert selected["marts"] == everything | {"later"}
    assert selected["theirs"] == {"orders", "later"}
    for word in (*_FACTS, *(f"{method}:" for method in _METHODS)):
        assert f"`{word}`" in PAGE


def test_the_options_of_check_are_options() -> None:
    options = re.findall(r"`check (--[a-z -]+)`", PAGE)
    assert options
    for words in options:  # it exits for what it does not know
        asked = parser(COMMANDS).parse_args(["check", *words.split()])
        assert asked != parser(COMMANDS).parse_args(["check"])
    (formats,) = re.findall(r"`check --format (\w+)`, `(\w+)` or `(\w+)`", PAGE)
    for name in formats:
        assert parser(COMMANDS).parse_args(["check", "--format", name]).format == name


def test_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of each line are those of a run; that they run is in tests/cli."""
    commands = PAGE.section("Running").block("sh")
    project = make_project(
        tmp_path,
        {**FILES, "models/marts/days.sql": DAYS},
        "vars: {rate: 1}\npartitions: {days: {every: day, start: 2024-01-01}}\n"
        "jobs: {nightly: {selection: 'tag:nightly+'}, all: {selection: 'not days'},"
        " days: {selection: days}}\n",
    )
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    monkeypatch.chdir(tmp_path)
    runs = []
    monkeypatch.setattr(run_command, "execute", lambda location, run: runs.append(run) or 0)
    for line in commands.splitlines():
        assert run(project.root, *shlex.split(line)[1:]) == 0
    found = [{key.path[-1] for key in it.asset_selection or ()} for it in runs]
    every = {"stg_orders", "stg_items", "orders", "late", "later"}
    assert found == [
        every,
        {"stg_orders", "orders", "later"},
        {"orders"},
        every,
        {"days"},
        every - {"stg_items"},
    ]
    assert [it.job_name for it in runs] == ["all", "all", "all", "all", "days", "nightly"]
    assert dict(runs[2].run_config) == {"execution": {"config": {"max_concurrent": 2}}}
    for tag in (TARGET_TAG, VARS_TAG):
        assert tag in runs[2].tags
    for tag in (ONLY_CHANGED_TAG, FAIL_FAST_TAG):
        assert runs[3].tags[tag] == "true"
    assert runs[3].tags[CHECKS_TAG] == "after"
    assert runs[4].tags[FULL_REFRESH_TAG] == "true"
    assert runs[4].tags[RANGE_END_TAG] == "2024-01-02"
    again = PAGE.section("Going on after a failure").block("sh")
    assert run(project.root, *shlex.split(again)[1:]) == 2, "none of these has ended"


def test_looking_at_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [
        shlex.split(it)[1:] for it in PAGE.section("Looking at rows").blocks("sh")[0].splitlines()
    ]
    project = make_project(tmp_path, FILES)
    settings = project.root / "dagster_models.yaml"
    settings.write_text(settings.read_text().replace("threads: 2", "schema_prefix: dev_"))
    assert run(project.root, *commands[0]) == 1
    assert "has no database yet: nothing is built" in capsys.readouterr().err
    with project.warehouse() as session:
        for schema in ("staging", "marts"):
            session.execute(f"create schema dev_{schema}")
        session.execute("create table dev_staging.stg_orders as select range as id from range(9)")
        session.execute("create table dev_staging.stg_items as select range as id from range(7)")
        session.execute(
            "create table dev_marts.orders as select 3 as id, 'x|\n y' as note, null as z"
        )
        said = []
        for command in commands:  # while somebody else has the file open
            assert run(project.root, *command) == 0, capsys.readouterr().err
            said.append(capsys.readouterr().out.splitlines())
    assert (said[0][:2], said[0][-1], len(said[0])) == (["id", "--"], "(first 5 rows)", 8)
    assert said[1] == ["id  note  z", "--  ----  ----", "3   x| y  NULL", "(1 row)"]
    assert said[2] == ["n", "-", "1", "(1 row)"]
    for wrong in ("delete from orders", "select 1; select 2", "select $nope"):
        assert run(project.root, "sql", wrong) == 1
        assert "the query, 1:" in capsys.readouterr().err


def test_the_sql_of_all_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, several = PAGE.section("The SQL of all models").blocks("sh")[0].splitlines()
    project = make_project(tmp_path, FILES)
    monkeypatch.chdir(tmp_path)
    assert run(project.root, *shlex.split(one)[1:]) == 0
    printed = capsys.readouterr().out
    assert run(project.root, *shlex.split(several)[1:]) == 0
    written = {it.relative_to("compiled").as_posix(): it for it in Path("compiled").rglob("*.sql")}
    assert sorted(written) == ["models/marts/late.sql", "models/marts/orders.sql"]
    assert written["models/marts/orders.sql"].read_text() == printed
    project.write({"models/marts/wrong.sql": "select ("})
    assert run(project.root, "compile", "--into", "all") == 1
    assert len([*Path("all").rglob("*.sql")]) == 5
    assert run(project.root, "compile", "orders", "late") == 2


def test_starting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.section("Starting")
    command, printed = page.block("sh"), page.block("text")
    assert shlex.split(command) == ["dagster-models", "init", "shop"]
    assert main(["init", str(tmp_path / "shop")]) == 0
    said = capsys.readouterr().out.replace(str(tmp_path / "shop"), "/home/ada/shop")
    assert said == printed
    every = (it.relative_to(tmp_path / "shop") for it in (tmp_path / "shop").rglob("*"))
    files = {it for it in every if it.parts[0] != "target"}
    named = re.findall(r"^\| `([^`]+)` \|", PAGE.section("Starting"), re.MULTILINE)
    assert {Path(name) for name in named} == {
        it for it in files if (tmp_path / "shop" / it).is_file()
    }


def test_planning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = PAGE.section("Planning a run").blocks("sh")[0].splitlines()
    project = make_project(tmp_path, FILES, "jobs: {nightly: {selection: 'tag:nightly+'}}\n")
    for line in commands:
        assert run(project.root, *shlex.split(line)[1:]) == 0, capsys.readouterr().err
    example = PAGE.section("Planning a run").block("text")
    for kind in re.findall(r"^  (\w+) ", example, re.MULTILINE):
        assert f"| `{kind}` |" in PAGE


def test_a_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = PAGE.section("A prompt").block("sh")
    (text,) = re.findall(r"^echo '(.*)' \| dagster-models shell$", command, re.MULTILINE)
    project = make_project(tmp_path, FILES)
    with project.warehouse() as session:
        session.execute("create schema marts; create table marts.orders as select 1 as id")
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert run(project.root, "shell") == 0
    assert capsys.readouterr().out == "n\n-\n1\n(1 row)\n"
    for name in _COMMANDS:
        assert f"`{name}" in PAGE.section("A prompt")


def test_completing(capsys: pytest.CaptureFixture[str]) -> None:
    for line in PAGE.section("Completing in a shell").blocks("sh")[0].splitlines():
        (arguments,) = re.findall(r"dagster-models (completion \w+)", line)
        assert main(arguments.split()) == 0
        assert "dagster-models" in capsys.readouterr().out


def test_selecting_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line of the block is understood, whatever there is to print."""
    monkeypatch.chdir(tmp_path)
    project = make_project(
        tmp_path,
        {**FILES, "models/marts/days.sql": DAYS},
        "partitions: {days: {every: day, start: 2024-01-01, end: 2024-01-04}}\n",
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    header = RunHeader("r1", "test", "dev", 100.0, ("marts.orders",), "1", 2)
    with Journal(project.root / "target", header) as journal:
        journal.step(StepResult("marts.orders", "sql", "table", "failed"))
    for line in PAGE.section("Selecting").blocks("sh")[1].splitlines():
        assert run(project.root, *shlex.split(line)[1:]) == 0, (line, capsys.readouterr().err)
