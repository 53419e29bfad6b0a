"""SQL that the parser does not know: what its tokens say, and that it runs all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.checks.task import check_task
from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.errors import SqlSyntaxError, UnreadableSql
from dagster_models.project.targets import usable_target
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.unread import read_tokens
from project_cases import load, write_project
from running import make_project

#: DuckDB knows the postfix operator, sqlglot does not.
ODD = "select {}! as n from {}"
SETTINGS = """name: p
unreadable_sql: warn
targets: {dev: {type: duckdb, path: x.duckdb, schema_prefix: dev_}}
"""


def names(text: str, dialect: str = "duckdb") -> list[str]:
    return [reference.name for reference in read_tokens(text, dialect).references]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("select 5! from a join s.b on 5! = 1", ["a", "s.b"]),
        ("with a as (select 5! from t) select * from a join b", ["t", "b"]),
        ('with "A" (x, y) as (select 5!) select * from a', []),
        ("with a as (select 1) select 5! from s.a", ["s.a"]),
        ("select extract(year from a), trim(both 'x' from b), 5! from c", ["c"]),
        ("select count(*), (select max(x)! from a) from ((b)) where c is distinct from d", ["a"]),
        ("select 5! from read_csv('x'), range(3)", []),
        ("select 5! from 'x.parquet' join \"y.csv\" join pg_catalog.pg_class", []),
        ("select 'from a' /* from b */ -- from c\n, 5! from d", ["d"]),
    ],
)
def test_what_the_tokens_say(text: str, read: list[str]) -> None:
    with pytest.raises(UnreadableSql):
        parse_sql(text, "duckdb")
    assert names(text) == read
    assert not any(reference.certain for reference in read_tokens(text, "duckdb").references)


@pytest.mark.parametrize("text", ["insert into a values (5!)", "select 5!; select 1", "select 'x"])
def test_what_is_not_one_query_stays_refused(text: str) -> None:
    with pytest.raises(SqlSyntaxError):
        read_tokens(text, "duckdb")


def project(root: Path, files: dict[str, str], settings: str = SETTINGS) -> Project:
    return load(write_project(root, {"dagster_models.yaml": settings, **files}), environ={})


FILES = {
    "models/s/a.sql": "select 3 as n",
    "models/s/b.sql": "/* @model upstream: s.c */ -- é 🛫\n"
    "select a.n! as n, '$n' from s.a where n < $n;\n",
    "models/s/c.sql": "select 1 as n",
    "models/s/d.sql": "with a as (select 1 as n) select n! from a",
    "checks/e.sql": "/* @check model: s.b */ select n! from s.b where false",
}


def test_a_model_that_cannot_be_read_is_loaded(tmp_path: Path) -> None:
    found = project(tmp_path, FILES, SETTINGS + "vars: {n: 9}\n")
    step = found.steps[Key("s", "b")]
    assert set(step.upstream) == {Key("s", "a"), Key("s", "c")}
    assert found.steps[Key("s", "d")].upstream == ()
    target = usable_target(found)
    compiled = compile_step(found, step, target)
    expected = FILES["models/s/b.sql"].replace("s.a where", '"dev_s"."a" where')
    assert compiled == expected.replace("< $n;", "< 9")
    [check] = step.checks
    sql = check_task(found, step, check, target).sql
    assert sql.endswith(f'from {OWN_RELATION} AS "b" where false')
    assert [warning.path for warning in found.warnings if "cannot be read" in warning.what] == [
        "checks/e.sql",
        "models/s/b.sql",
        "models/s/d.sql",
    ]
    assert not step.trace.closed


def test_comments_leave_its_code_version(tmp_path: Path) -> None:
    def version(change: tuple[str, str]) -> str:
        text = FILES["models/s/b.sql"].replace(*change)
        settings = SETTINGS + "vars: {n: 9}\n"
        return (
            project(tmp_path, {**FILES, "models/s/b.sql": text}, settings)
            .steps[Key("s", "b")]
            .code_version
        )

    assert version(("🛫", "🛬")) == version(("select", "SELECT  ")) == version(("", ""))
    assert version(("a.n!", "a.n")) != version(("", ""))


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    made = make_project(
        tmp_path,
        {
            "models/a.sql": "select 5 as n",
            "models/b.sql": "/* @model upstream: a */ " + ODD.format("n", "a"),
            "models/c.py": '"""\n@model\nupstream: a\n"""\ndef model(warehouse):\n'
            f"    return warehouse.sql({ODD.format('n', 'a')!r})",
        },
        settings="unreadable_sql: warn\n",
    )
    run = made.run()
    assert run.code == 0
    assert made.rows("select n from b union all select n from c") == [(120,), (120,)]
