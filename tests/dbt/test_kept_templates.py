"""`import-dbt --keep-jinja`: which models stay templates, and that they say what dbt says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dagster_models.core.model import Key
from dagster_models.dbt.importing import Imported, ImportOptions, import_project
from dagster_models.dbt.kept_templates import without_config
from dagster_models.dbt.text.model_text import Way
from dagster_models.errors import SelectionError
from dbt_cases import manifest_of, step
from project_cases import write_project
from template_cases import compiled, load_jinja, words

MACROS = {
    "macro.shop.euros": "{% macro euros(c) %}{{ c }} / {{ util.hundred() }}{% endmacro %}",
    "macro.shop.unused": "{% macro unused() %}{% endmacro %}",
    "macro.util.hundred": "{% macro hundred() %}100.0{% endmacro %}",
    "macro.shop.first": "{% macro first() %}{% if not is_incremental() %}, 1 as first{% endif %}"
    "{% endmacro %}",
}
PROJECT = "name: shop\nprofile: shop\nvars: {days: 3, nested: {a: 1}}\n"
ORDERS = step("orders", raw_code="select 1 as id, 2 as cents, 3 as at_day")
TEXT = """{{ config(materialized='table') }}
{% set names = ['id'] %}
select {{ names[0] }}, {{ euros('cents') }} as euros from {{ ref('orders') }}
where id < {{ var('days') }}
"""


def model(name: str, text: str, *macros: str, **given: Any) -> dict[str, Any]:
    of = [f"macro.{it}" for it in macros]
    reads = ["model.shop.orders"]
    return step(name, raw_code=text, depends_on={"nodes": reads, "macros": of}, **given)


def imported(folder: Path, *models: dict[str, Any], keep: str = "*", **given: Any) -> Imported:
    macros = {"macros": MACROS, **given.pop("macros", {})}
    manifest = manifest_of(folder, ORDERS, *models, project=PROJECT, **macros, **given)
    return import_project(manifest, ImportOptions(keep_jinja=keep))


def way(found: Imported, name: str) -> tuple[Way, str]:
    (it,) = [it for it in found.report.models if it.unique_id == f"model.shop.{name}"]
    return it.way, it.why


def loaded(folder: Path, found: Imported) -> Any:
    files = {path: text for path, text in found.files.items() if isinstance(text, str)}
    return load_jinja(write_project(folder, files))


def test_a_template_stays_with_its_macros_and_variables(tmp_path: Path) -> None:
    table = {"materialized": "table"}
    found = imported(tmp_path / "dbt", model("m", TEXT, "shop.euros", config=table), keep="m")
    assert way(found, "m") == (Way.TEMPLATE, "")
    assert way(found, "orders")[0] is Way.SOURCE
    header, text = str(found.files["models_jinja/marts/m.sql"]).split("*/\n")
    assert "materialized: table" in header
    assert text == TEXT.partition("\n")[2]
    assert "hundred" in str(found.files["macros_jinja/m.sql"])
    project = loaded(tmp_path / "ours", found)
    sent = " ".join(compiled(project, "m", schema="marts").split())
    expected = 'select id, cents / 100.0 as euros from "marts"."orders" where id < 3'
    assert sent.endswith(expected)
    assert project.steps[Key("marts", "m")].built_as == "table"


def test_config_is_taken_out_of_a_text_with_the_line_ends_of_windows() -> None:
    text = "{{ config(tags=['a'],\r\n  meta={}) }}\r\nselect 1 as x,\r\n  2 as y\r\n"
    assert without_config(text) == "select 1 as x,\n  2 as y\n"


def test_only_the_macros_that_it_reaches_are_written(tmp_path: Path) -> None:
    found = imported(tmp_path / "dbt", model("m", TEXT, "shop.euros"))
    written = "".join(str(text) for path, text in found.files.items() if "_jinja/" in path)
    assert "macro euros" in written
    assert "macro unused" not in written
    assert "packages_jinja/util/macros/m.sql" in found.files


def test_both_readings_of_an_incremental_model_stay(tmp_path: Path) -> None:
    text = "select id {{ first() }} from {{ ref('orders') }}"
    config = {"materialized": "incremental", "unique_key": "id"}
    found = imported(tmp_path / "dbt", model("m", text, "shop.first", config=config))
    project = loaded(tmp_path / "ours", found)
    assert "first" in words(compiled(project, "m", schema="marts", full=True))
    assert "first" not in words(compiled(project, "m", schema="marts"))


@pytest.mark.parametrize(
    ("text", "config", "why"),
    [
        ("select '{{ run_started_at }}' as x", {}, "run_started_at has another value in each run"),
        ("select '{{ ref('orders') }}' as x", {}, "another text comes out of it here than in dbt"),
        ("select {{ var('nested').a }} as x", {}, "its variable `nested` has values within values"),
        ("select {{ config.get('own') }} as x", {"own": 3}, "it asks config.get('own'), which no"),
        ("select '{{ target.schema }}' as x", {}, "it asks target.schema, which differs here"),
        ("{% if adapter.get_relation(1, 2, 3) %}{% endif %}", {}, "get_relation() asks the"),
        ("select * from {{ source('raw', 'orders') }}", {}, "another text comes out of it here"),
    ],
)
def test_a_model_that_would_say_something_else_is_imported_as_before(
    tmp_path: Path, text: str, config: dict[str, Any], why: str
) -> None:
    source = {
        "unique_id": "source.shop.raw.orders",
        "package_name": "shop",
        "source_name": "raw",
        "name": "orders",
        "original_file_path": "models/s.yml",
        "schema": "marts",
        "identifier": "orders",
        "relation_name": '"dev"."marts"."orders"',  # which is the model's
    }
    found = imported(
        tmp_path, model("m", text, config=config), sources={source["unique_id"]: source}
    )
    kept, said = way(found, "m")
    assert kept is not Way.TEMPLATE
    assert "it cannot stay a template: " in said
    assert why in said
    assert "models_jinja/marts/m.sql" not in found.files


def test_a_wrong_selection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="nothing_such"):
        imported(tmp_path, model("m", TEXT, "shop.euros"), keep="nothing_such")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("{{ config(a=1) }}\nselect 1", "select 1"),
        ("{{ config(a='}}') }} select {{ config.get('a') }}", " select {{ config.get('a') }}"),
        ("a {{ config(\n b=1\n) }} b", "a  b"),
        ("{# {{ config() }} #}\n  {{ config(a=1) }}  \nb", "{# {{ config() }} #}\n  b"),
        ("{% raw %}{{ config(a=1) }}{% endraw %}", "{% raw %}{{ config(a=1) }}{% endraw %}"),
        ("{{- config(a=1) -}}\n\nb", "b"),
    ],
)
def test_calls_of_config_are_cut_out(text: str, left: str) -> None:
    assert without_config(text) == left


def test_the_command_says_what_did_not_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = model("clock", "select '{{ run_started_at }}' as x")
    manifest_of(tmp_path / "shop", ORDERS, model("m", TEXT, "shop.euros"), clock,
                project=PROJECT, macros=MACROS)  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["import-dbt", "shop", "--keep-jinja", "m clock", "--verify"]) == 0
    said = capsys.readouterr().out
    assert "1  kept as a template" in said
    assert "Not kept as templates:\n  clock: run_started_at has another value" in said
    report = json.loads((tmp_path / "shop_models/.dagster_models_import/report.json").read_text())
    assert report["ways"]["template"] == 1
    assert main(["--project", "shop_models", "check"]) == 0
    assert main(["import-dbt", "shop"]) == 0  # it is plain SQL again
    assert not (tmp_path / "shop_models/models_jinja").exists()
    assert (tmp_path / "shop_models/models/marts/m.sql").is_file()
