"""Jinja that was left in a text is refused; braces that mean something else are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from sqlglot.dialects.dialect import Dialect as SqlglotDialect

from dagster_models.errors import ProjectError, SqlSyntaxError
from dagster_models.sql import jinja
from dagster_models.sql.jinja import jinja_in_literals, refuse_jinja
from dagster_models.sql.literals import layout
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.regions import full_text
from paths import DATA
from project_cases import load, split_case, write_project

LEFT = [
    "select 1 as x where 1 = [{{ var('x') }}]",
    "select 'a' as x {# it's late #}",
    "select '{{' as x {%- if it %} where true",
    "select 1 as x /* {{ */ {{ config(a='b') }}",
    "select map {{ keys }} as x",
    "select {{ a::int }} as x",
]
MEANT = [
    "select '{{ x }}' as x, $${% y %}$$ as y, 'it''s {{ so }}' as z",
    "select {'a': {'b': [{'c': 1}]}} as x",
    "select map {{'a': 1}: {'b': 2}} as x",
    'select map {{"a": 1}: 2, {a: 2}: 3} as x',
    "select map {#1: 2} as m from (select 1 as z)",
    'select 1 as "{{ x }}" -- {{ a }}\n/* {# b /* c */ {% d %} */',
]


@pytest.mark.parametrize("text", LEFT)
def test_jinja_is_refused(text: str) -> None:
    with pytest.raises(SqlSyntaxError, match="this is Jinja") as raised:
        refuse_jinja(text, "duckdb")
    assert "without Jinja" in raised.value.fix
    with pytest.raises(duckdb.ParserException):
        duckdb.sql(text)


@pytest.mark.parametrize(
    ("config", "written"),
    [
        ("materialized='incremental'", "materialized: incremental"),
        (
            "materialized='incremental', unique_key=['a', \"b\"], enabled=True",
            "{materialized: incremental, unique_key: [a, b], enabled: true}",
        ),
        ("meta='a: {b'", "meta: 'a: {b'"),
        ("**macro()", "materialized: table"),
    ],
)
def test_the_header_says_what_config_said(config: str, written: str) -> None:
    with pytest.raises(SqlSyntaxError) as raised:
        refuse_jinja(f"{{{{ config({config}) }}}}\nselect 1", "duckdb")
    assert f"`/* @model {written} */`" in raised.value.fix
    assert yaml.safe_load(written)


def test_the_header_of_a_check_is_that_of_checks(tmp_path: Path) -> None:
    left = "{{ config(severity='warn') }} select 1 where false"
    files = {"models/main/a.sql": "select 1 as n", "checks/left.sql": left}
    with pytest.raises(ProjectError, match=r"`/\* @check severity: warn \*/`"):
        load(write_project(tmp_path, files))


@pytest.mark.parametrize("text", MEANT)
def test_other_braces_are_not(text: str) -> None:
    refuse_jinja(text, "duckdb")
    assert duckdb.sql(text).fetchall()


def test_there_is_none_in_the_corpora() -> None:
    texts = [path.read_text() for path in (DATA / "references").glob("*.sql")]
    for case in (DATA / "lineage").rglob("*.*"):
        texts += split_case(case.read_text())[0].values() if case.suffix == ".txt" else []
        texts += [case.read_text()] if case.suffix == ".sql" else []
    assert len(texts) > 10
    for text in texts:
        refuse_jinja(text, "duckdb")
        refuse_jinja(text, "postgres")


def test_a_text_that_dbt_would_render_is_found_and_another_is_not() -> None:
    text = "select '{{ name }}', '\n {{ var(\"d\") }} ' as x -- '{{ this }}'"
    assert [found[:2] for found in jinja_in_literals(text, "duckdb")] == [(1, 22)]


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "bigquery", "snowflake", "clickhouse"])
def test_each_dialect_has_its_own_comments_and_texts(dialect: str) -> None:
    refuse_jinja("select '{{ a }}' /* {{ b }} */ -- {{ c }}\n from d", dialect)
    with pytest.raises(SqlSyntaxError, match="this is Jinja"):
        refuse_jinja("select '{{ a }}' /* {{ b }} */ -- {{ c }}\n from {{ d }}", dialect)


def test_a_hint_names_what_the_project_has(tmp_path: Path) -> None:
    left = "select * from {{ source('raw', 'raw_orders') }}, {{ ref('STG') }}, {{ ref('gone') }},"
    files = {
        "seeds/raw_orders.csv": "id\n1\n",
        "models/main/left.sql": f"{left} {{{{ ref('twice') }}}}, {{{{ source('ext', 't') }}}}",
        "models/main/stg.sql": "select id from raw.raw_orders",
        "models/main/twice.sql": "select 1 as id",
        "models/other/twice.sql": "select 1 as id",
    }
    with pytest.raises(ProjectError) as raised:
        load(write_project(tmp_path, files))
    hints = {it.path: it.fix for it in raised.value.problems}
    for hint in (
        "Write `raw_orders` (seeds/raw_orders.csv) instead of `source('raw', 'raw_orders')`, or"
        " `raw.raw_orders` if that is a table which others load;",
        "`stg` (models/main/stg.sql) instead of `ref('STG')`;",
        "`gone`, which no file of the project has, instead of `ref('gone')`;",
        "`main.twice` (models/main/twice.sql) or `other.twice` (models/other/twice.sql) instead",
        "the table's name, `ext.t`, instead of `source('ext', 't')` (sources.yaml describes it).",
    ):
        assert hint in hints["models/main/left.sql"]
    assert hints["models/main/stg.sql"].startswith("Did you mean `seeds.raw_orders`?")


COMMENTED = "select 1 as a /* " + "{{ ref('a') }} {# b #} {% if c %}\n" * 200 + "*/, '{{ d }}' as e"
ODD = (
    COMMENTED,
    COMMENTED + " from {{ f }}",
    "select '{{ a }}' as a, \"{{ b }}\" as b, `{{ c }}` as c {# d #}",
    "select 1 -- {{ a }}\n, 2 # {{ b }}\n, 3 // {{ c }}\n, {{ d }}",
    "select /* {{ a }} /* {{ b }} */ {{ c }} */ 1, {# {{ d }} #} 2",
    "/* a */ {# b #} /* {# c #} */ select $$ {{ d }} $$, {% if e %} 1",
    "select 'a {{ b",
    "select 1 /* {{ a }}",
)


@pytest.mark.parametrize("dialect", ["duckdb", "snowflake", "bigquery", "mysql", "postgres"])
@pytest.mark.parametrize("text", ODD)
def test_it_begins_where_the_text_before_it_is_no_comment_and_no_literal(
    text: str, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = jinja._first(text, dialect)
    monkeypatch.setattr(jinja, "_inside", lambda *_: lambda _: False)
    assert found == jinja._first(text, dialect)


@pytest.fixture
def tokenized(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of which sqlglot has been asked for tokens."""
    tokenize, calls = SqlglotDialect.tokenize, list[str]()

    def counted(self: Any, text: str) -> Any:
        calls.append(text)
        return tokenize(self, text)

    monkeypatch.setattr(SqlglotDialect, "tokenize", counted)
    layout.cache_clear()
    return calls


def test_a_template_in_a_comment_is_read_once(tokenized: list[str]) -> None:
    assert jinja._first(COMMENTED, "duckdb") is None
    assert len(tokenized) == 1


def test_all_that_a_load_asks_of_a_text_takes_its_tokens_once(tokenized: list[str]) -> None:
    text = "select '{{ ref(x) }}' from a /* @incremental */ where at > $since /* @end */"
    refuse_jinja(text, "duckdb")
    full = full_text(text, "duckdb")
    assert parse_sql(text, "duckdb").placeholders
    assert [*jinja_in_literals(text, "duckdb")]
    assert tokenized == [text]
    assert full is not None
    assert parse_sql(full, "duckdb").references
    assert tokenized == [text, full]
