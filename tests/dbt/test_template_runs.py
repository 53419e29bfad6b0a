"""Templates in real runs and commands: what they build, and what is reported of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dagster_models.cli.main import main
from running import Project, make_project
from template_cases import MACROS

pytestmark = pytest.mark.slow

SETTINGS = "jinja: true\nvars: {least: 0}\n"
GROWS = """{{ config(materialized='incremental', unique_key='id', on_schema_change='fail') }}
{% set columns = ['id', 'kind', 'moment'] %}

select {{ columns | join(', ') }}, {{ euros('cents') }} as euros
from {{ source('raw', 'orders') }}
where id >= {{ var('least') }}
{% if is_incremental() -%}
  and moment > (select max(moment) from {{ this }})
{%- endif %}
"""
FILES = {
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}]}]\n",
    "models_jinja/main/grows.sql": GROWS,
    "models_jinja/main/kinds.sql": """
select kind, count(*) as n
from {{ ref('grows') }}
group by kind
""",
    "macros_jinja/money.sql": MACROS["money.sql"],
}


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    made = make_project(tmp_path, FILES, SETTINGS)
    (made.root / "target").mkdir()
    with made.warehouse() as session:
        session.execute("create schema raw")
        session.execute("create table raw.orders (id int, kind text, cents int, moment timestamp)")
    order(made, 1, "new", 150)
    order(made, 2, "paid", 250)
    return made


def order(shop: Project, number: int, kind: str, cents: int, day: int = 1) -> None:
    with shop.warehouse() as session:
        at = f"timestamp '2026-01-{day:02}'"
        session.execute(f"delete from raw.orders where id = {number}")
        session.execute(f"insert into raw.orders values ({number}, '{kind}', {cents}, {at})")


def grown(shop: Project) -> list[tuple[object, ...]]:
    return shop.rows("select id, kind, euros from main.grows order by id")


def test_a_table_grows_and_its_readers_follow(shop: Project) -> None:
    ran = shop.run()
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "2 rows (in full)" in ran.stdout
    assert grown(shop) == [(1, "new", 1.5), (2, "paid", 2.5)]
    order(shop, 2, "new", 300, day=2)
    order(shop, 3, "new", 100, day=2)
    order(shop, 0, "old", 100, day=1)  # it is not newer than what is there
    ran = shop.run()
    assert "1 inserted, 1 updated" in ran.stdout
    assert grown(shop) == [(1, "new", 1.5), (2, "new", 3.0), (3, "new", 1.0)]
    assert shop.rows("select * from main.kinds") == [("new", 3)]
    with shop.warehouse() as session:
        session.execute("update raw.orders set kind = 'late' where id < 2")  # silently
    ran = shop.run({"full_refresh": True, "vars": {"least": 1}})
    assert ran.code == 0, ran.stdout + ran.stderr
    assert grown(shop) == [(1, "late", 1.5), (2, "new", 3.0), (3, "new", 1.0)]


def test_an_error_of_the_warehouse_names_the_line_of_the_template(shop: Project) -> None:
    text = """{% set columns = ['n', 'o'] %}


select
{% for column in columns %}
  cast('a' as int) as {{ column }},

{% endfor %}
  1 as p
from {{ ref('grows') }}
"""
    shop.write({"models_jinja/main/kinds.sql": text})
    ran = shop.run()
    assert ran.code != 0
    assert ran.journal is not None
    (step,) = [it for it in ran.journal.steps if it.step == "main.kinds"]
    assert step.error is not None
    assert (step.file, step.error.line) == ("models_jinja/main/kinds.sql", 6)


def test_a_broken_template_fails_alone(shop: Project) -> None:
    shop.write({"models_jinja/main/kinds.sql": "select {{ nothing() }}"})
    ran = shop.run()
    assert ran.states() == {"main.grows": "succeeded", "main.kinds": "failed"}
    assert "models_jinja/main/kinds.sql:1" in ran.stdout
    assert "'nothing' is undefined" in ran.stdout


def test_the_commands_know_templates(
    shop: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.root)
    assert main(["check"]) == 0
    capsys.readouterr()
    assert main(["compile", "grows"]) == 0
    assert "and moment > (select max(moment) from" in capsys.readouterr().out
    assert main(["compile", "grows", "--full"]) == 0
    assert "max(moment)" not in capsys.readouterr().out
    assert main(["ls", "path:models_jinja"]) == 0
    assert "main.kinds" in capsys.readouterr().out
    assert main(["lineage", "main.kinds.kind"]) == 0
    assert "main.grows" in capsys.readouterr().out


def test_a_changed_macro_is_a_change_of_the_models_that_it_changes(
    shop: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.root)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *command], cwd=shop.root, check=True)
    assert main(["diff", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []
    shop.write({"macros_jinja/money.sql": MACROS["money.sql"].replace("100.0", "1000.0")})
    assert main(["diff", "--format", "json"]) == 0
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["model"] == "main.grows"
    assert main(["ls", "changed"]) == 0
    assert "main.grows" in capsys.readouterr().out


def test_unit_tests_of_a_template(
    shop: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.root)
    test = """
- name: euros
  model: grows
  given: [{input: raw.orders, rows: [{id: 1, kind: new, cents: 150, moment: 2026-01-01}]}]
  expect: {rows: [{id: 1, euros: 1.5}]}
"""
    shop.write({"unit_tests/grows.yaml": test})
    assert main(["test"]) == 0, capsys.readouterr().out
    shop.write({"unit_tests/grows.yaml": test + "  vars: {least: 1}\n"})
    assert main(["test"]) == 2
    said = capsys.readouterr()
    assert "the template of main.grows is rendered once for all tests" in said.out + said.err
