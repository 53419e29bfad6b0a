"""docs/checks.md is true: its tables are those of the code, and what it shows is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from dagster_models.compilation.checks.table import COMPILERS
from dagster_models.compilation.checks.task import check_task
from dagster_models.core.model import Key, Target
from dagster_models.core.target_types import target_type
from dagster_models.project.checks.aliases import ALIASES, TOO_MANY, Alias
from dagster_models.project.checks.keys import KEYS
from dagster_models.project.checks.kinds import KINDS
from pages import Page
from project_cases import load, write_project

PAGE = Page.of("checks.md")


def rows(title: str) -> list[list[str]]:
    lines = re.findall(r"^\| (`.*) \|$", PAGE.section(title), re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def words(cell: str) -> list[str]:
    return re.findall(r"`([\w.]+)`", cell)


def test_the_keys_of_every_check() -> None:
    named = [word for cells in rows("Declaring checks") for word in words(cells[0])]
    assert sorted(named) == sorted(KEYS)


def test_the_kinds_and_their_arguments() -> None:
    found = {words(kind)[0]: (about, words(given)) for kind, about, given, _ in rows("Kinds")}
    assert found == {name: (kind.about, [*kind.arguments]) for name, kind in KINDS.items()}
    assert set(COMPILERS) == set(KINDS), "each kind has its SQL"


def test_what_it_shows_is_accepted(tmp_path: Path) -> None:
    model = PAGE.section("Declaring checks").block("sql")
    files = {
        "models/marts/flights.sql": model,
        "models/marts/carriers.sql": "select 'AA' as carrier, true as active",
    }
    project = load(write_project(tmp_path, files), environ={})
    assert project.warnings == ()
    assert len(project.steps[Key("marts", "flights")].checks) == 10


_OPPOSITE = {"strictly": "the opposite of "}


def test_a_query_with_arguments(tmp_path: Path) -> None:
    blocks = PAGE.section("Queries with arguments").blocks("sql")
    files = {
        "checks/older_than.sql": blocks[0],
        "models/marts/children.sql": blocks[1],
        "models/marts/parents.sql": "select 1 as id, date '2024-01-01' as made_on",
    }
    project = load(write_project(tmp_path, files), environ={})
    assert project.warnings == ()
    step = project.steps[Key("marts", "children")]
    assert [(it.name, it.severity) for it in step.checks] == [
        ("older_than_made_on", "warn"),
        ("a_week", "error"),
    ]
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.parents as " + files["models/marts/parents.sql"])
        for moved, expected in ((0, (0, 0)), (-5, (1, 0)), (-9, (1, 1))):
            connection.execute(f"create or replace table t as {blocks[1]}")
            connection.execute(f"update t set made_on = made_on + {moved}")
            target = Target("x", target_type("duckdb"))
            tasks = [check_task(project, step, check, target) for check in step.checks]
            sent = [task.sent(task.sql, "t", [f'"{c}"' for c in task.columns]) for task in tasks]
            assert tuple(len(connection.execute(sql).fetchall()) for sql in sent) == expected


def row_of(word: str, alias: Alias) -> list[str]:
    """An alias as the page says it: their arguments that have other names here, what their word
    says besides, and how it differs."""
    ours = {name: alias.ours(name) for name in alias.arguments}
    renamed = [
        f"`{theirs}` is {_OPPOSITE.get(theirs, '')}`{name}`"
        for theirs, name in ours.items()
        if theirs != name
    ]
    spans = {"datepart": "within" if alias.kind == "recency" else "interval"}
    renamed = [it for it in renamed if "(too many)" not in it]
    if "datepart" in ours:
        renamed.append(f"`datepart` and `interval` are `{spans['datepart']}`")
    if TOO_MANY in ours.values():
        renamed.append('`at_least: 0.95` is `error_if: "> 5%"`')
    implied = [f"`{name}: {str(value).lower()}`" for name, value in alias.implied.items()]
    return [f"`{word}`", f"`{alias.kind}`", ", ".join(renamed), ", ".join(implied), alias.note]


def test_the_words_of_dbt() -> None:
    assert rows("dbt's words") == [row_of(*item) for item in ALIASES.items()]
