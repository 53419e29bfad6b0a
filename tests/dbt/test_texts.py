"""The SQL of imported models. The oracle is dbt: each text has the tokens that dbt has compiled,
with is_incremental() true and false. The names are turned back by our own parser of SQL."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dagster_models.cli.main import main
from dagster_models.dbt.importing import Imported, ImportOptions, import_project
from dagster_models.dbt.project.manifest import DbtNode, Manifest, read_manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.report import ReportedModel
from dagster_models.dbt.text.model_text import Way
from dagster_models.dbt.writing import write_files
from dagster_models.sql.literals import layout
from dagster_models.sql.parse import parse_sql
from dagster_models.sql.regions import full_text
from dbt_cases import manifest_of, step
from tests.dbt.conftest import SHOP

MANIFEST = read_manifest(SHOP, SHOP / "manifest.json")
LATER = json.loads((SHOP / "incremental.json").read_text())
NAMES = NodeNames(MANIFEST)
MODELS = [it for it in MANIFEST.nodes.values() if it.kind == "model" and it.language == "sql"]


def imported(manifest: Manifest = MANIFEST) -> Imported:
    return import_project(manifest, ImportOptions())


def imported_with(shop: Path, name: str, **values: Any) -> Imported:
    """The import of the project in which a model has these values in the manifest."""
    file = shop / "target/manifest.json"
    content = json.loads(file.read_text())
    content["nodes"][f"model.shop.{name}"] |= values
    file.write_text(json.dumps(content))
    return imported(read_manifest(shop))


IMPORTED = imported()


def reported(it: Imported, name: str) -> ReportedModel:
    return next(one for one in it.report.models if one.unique_id.endswith(f".{name}"))


def text_of(it: Imported, name: str) -> str:
    """The SQL of a file, without its header."""
    text = it.files[reported(it, name).path]
    assert isinstance(text, str)
    return re.sub(r"\A/\* @model.*?\*/\n", "", text, flags=re.DOTALL)


def tokens(text: str) -> list[str]:
    return layout(text, "duckdb").said(text)


def as_dbt(text: str, node: DbtNode) -> list[str]:
    """The tokens with dbt's names of relations. `$since` is the query of which it is the value."""
    header = IMPORTED.files[NAMES.places[node.unique_id].path]
    since = re.search(r"^since: (\w+)$", str(header), re.MULTILINE)
    if since:
        own = NAMES.places[node.unique_id].key
        text = text.replace("$since", f"(select max({since[1]}) from {own})")
    by_name = {}
    for of in (MANIFEST.nodes, MANIFEST.sources):
        for unique_id, it in of.items():
            if unique_id in NAMES.places or (unique_id in MANIFEST.sources):
                key = NAMES.key_of(unique_id)
                written = it.relation.written or f"__dbt__cte__{it.relation.identifier}"
                by_name[key] = by_name[key.name,] = written
    for found in reversed(parse_sql(text, "duckdb").references):
        text = text[: found.start] + by_name[tuple(found.parts)] + text[found.end :]
    return tokens(text)


def of_dbt(text: str) -> list[str]:
    """Without the CTEs of ephemeral models, which are one line each in this project."""
    start = re.compile(r"\A\s*with\s+__dbt__cte__recent as \(.*?'2024-01-01'\s*\)", re.DOTALL)
    return tokens(start.sub("", text))


@pytest.mark.parametrize("node", MODELS, ids=lambda it: it.name)
def test_both_readings_have_the_tokens_that_dbt_compiles(node: DbtNode) -> None:
    text = text_of(IMPORTED, node.name)
    in_full = full_text(text, "duckdb") or text
    assert as_dbt(in_full, node) == of_dbt(node.compiled_code or "")
    if node.materialized == "incremental":
        assert node.compiled_code != LATER[node.unique_id]
        assert as_dbt(text, node) == of_dbt(LATER[node.unique_id])


def test_each_model_takes_the_way_that_a_reader_would_choose() -> None:
    ways = {it.unique_id.split(".")[-1]: it.way for it in IMPORTED.report.models}
    assert {name for name, way in ways.items() if way is not Way.SOURCE} == {
        *("amounts", "prices", "asks")
    }
    assert ways["amounts"] is ways["prices"] is Way.RENDERED
    assert ways["asks"] is Way.COMPILED


def test_the_source_text_keeps_its_lines_and_comments() -> None:
    assert text_of(IMPORTED, "stg_orders") == (
        "/* Each order once. */\n"
        "select\n    id,\n    customer,  -- who has ordered\n    ordered_at,\n    amount\n"
        "from raw_orders\n"
        "where /*$channel*/ 'web' <> 'shop'\n"
        "    and /*$late_minutes*/ 15 > 0\n"
        "    and 'web-x' <> 'y'\n"
    )


def test_a_name_that_a_cte_of_the_file_bears_is_qualified_where_it_would_mean_the_cte() -> None:
    assert "select * from stg_orders\n)" in text_of(IMPORTED, "customers")
    assert "join marts.orders as o" in text_of(IMPORTED, "shadowed")


def test_the_usual_condition_becomes_since() -> None:
    text = IMPORTED.files["models/marts/orders.sql"]
    assert "\nsince: ordered_at\n" in str(text)
    assert str(text).endswith("/* @incremental */\nwhere ordered_at > $since\n/* @end */\n")


def test_what_may_be_another_tomorrow_is_reported() -> None:
    assert reported(IMPORTED, "frozen").frozen == {
        "env_var('DBT_SHOP_REGION')": "emea",
        "target.schema": "main",
        "invocation_id": MANIFEST.given["metadata"]["invocation_id"],
        "var('table_suffix')": "2024",
    }
    assert reported(IMPORTED, "reader").frozen == {"target.name": "dev"}


def test_a_package_has_its_own_variables_and_the_projects_values_for_it() -> None:
    assert "/*$unit*/ 'EUR'" in text_of(IMPORTED, "prices")
    assert "cast(round(1.234, 2) as decimal(9, 2))" in text_of(IMPORTED, "prices")


def test_without_a_compiled_text_the_model_is_disabled_with_its_reason(shop: Path) -> None:
    content = json.loads((shop / "target/manifest.json").read_text())
    for node in content["nodes"].values():
        node["compiled_code"] = None
    (shop / "target/manifest.json").write_text(json.dumps(content))
    it = imported(read_manifest(shop))
    asks = reported(it, "asks")
    assert asks.disabled
    assert "asks the warehouse while dbt compiles; dbt has not compiled it" in asks.why
    assert str(it.files["models/marts/asks.sql"]).startswith("/* @model\nenabled: false\n")
    original = MANIFEST.nodes["model.shop.asks"].raw_code
    assert it.files["models/marts/asks.sql.dbt"] == original
    into = shop.with_name("ours")
    write_files(into, it.files, accept=False)
    assert main(["--project", str(into), "check"]) == 0  # all that is written loads
    (shop / "target/compiled/shop/models/marts").mkdir(parents=True)
    (shop / "target/compiled/shop/models/marts/asks.sql").write_text("select 42 as answer")
    assert reported(imported(read_manifest(shop)), "asks").way is Way.COMPILED


def test_one_side_of_is_incremental_is_not_taken_for_both(shop: Path) -> None:
    asks = "{% set x = run_query('select 1') %}"
    text = asks + MANIFEST.nodes["model.shop.amounts"].raw_code
    it = imported_with(shop, "amounts", raw_code=text)
    assert "one side of it alone" in reported(it, "amounts").why


def test_a_configuration_that_nothing_here_keeps_disables_its_model(shop: Path) -> None:
    config = {**MANIFEST.nodes["model.shop.frozen"].config, "materialized": "semantic_view"}
    it = imported_with(shop, "frozen", config=config)
    assert reported(it, "frozen").disabled
    assert "`materialized: semantic_view` is not known here" in reported(it, "frozen").why
    assert "models/marts/frozen.sql.dbt" in it.files
    assert it.report.ways()[Way.NONE] == 1


def test_what_dbt_says_beside_sql_is_written_too() -> None:
    assert "model: marts.orders" in str(IMPORTED.files["checks/no_negative.sql"])
    assert "- unique" in str(IMPORTED.files["models/marts/orders.sql"])
    assert "identifier: payments_v2" in str(IMPORTED.files["models/sources.yaml"])
    assert IMPORTED.files["seeds/raw_orders.csv"] == (SHOP / "seeds/raw_orders.csv").read_bytes()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("from {{ target.schema }}.raw_orders as o", "from raw_orders as o"),
        ('from "shop".main."raw_orders"', "from raw_orders"),
        ("from other.main.raw_orders", "from other.main.raw_orders"),  # another database
        ("from elsewhere.raw_orders", "from elsewhere.raw_orders"),
        ("-- from main.raw_orders\nfrom t", "-- from main.raw_orders\nfrom t"),
        ("where main.raw_orders = 'main.raw_orders'", "where main.raw_orders = 'main.raw_orders'"),
    ],
)
def test_a_relation_of_the_project_may_stand_in_a_text_as_it_is(
    shop: Path, written: str, expected: str
) -> None:
    it = imported_with(shop, "shadowed", raw_code=f"select 1 as a {written}")
    assert text_of(it, "shadowed") == f"select 1 as a {expected}\n"


def test_config_is_removed_with_its_line(shop: Path) -> None:
    text = "-- head\n  {{ config(a=1) }}  \nselect 1 as a{{ config(b=1) }}\n, 2 as b"
    it = imported_with(shop, "shadowed", raw_code=text)
    assert text_of(it, "shadowed") == "-- head\n  select 1 as a\n, 2 as b\n"


def test_an_ephemeral_model_knows_the_schema_that_it_would_be_in(shop: Path) -> None:
    node = MANIFEST.nodes["model.shop.shadowed"]
    config = {**node.config, "materialized": "ephemeral"}
    text = "select * from {{ this.schema }}.raw_orders"
    it = imported_with(shop, "shadowed", config=config, raw_code=text, relation_name=None)
    assert text_of(it, "shadowed") == "select * from raw_orders\n"


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_an_empty_file_is_passed_over_as_dbt_does(shop: Path, text: str) -> None:
    """Measured with dbt 1.11: no command selects it, and what reads it finds no relation. A file
    with nothing but a comment is run, and fails."""
    why = "its file is empty, so dbt does not run it, either"
    found = imported_with(shop, "stg_orders", raw_code=text)
    model = reported(found, "stg_orders")
    assert (model.way, model.disabled, model.why) == (Way.NONE, True, why)
    assert f"{model.path}.dbt" not in found.files
    header = str(found.files[model.path])
    assert f"Not imported from dbt: {why}." in header
    assert "Its text" not in header
    comment = reported(imported_with(shop, "stg_orders", raw_code="-- later"), "stg_orders")
    assert comment.why != why


def test_an_empty_test_and_an_empty_template_are_passed_over(tmp_path: Path) -> None:
    alone = {**step("alone"), "unique_id": "test.shop.alone", "resource_type": "test"}
    models = (
        step("a", raw_code="select 1 as n"),
        step("b", raw_code="\n"),
        {**alone, "raw_code": ""},
    )
    manifest = manifest_of(tmp_path, *models)
    assert reported(import_project(manifest, ImportOptions(keep_jinja="b")), "b").way is Way.NONE
    found = import_project(manifest, ImportOptions(keep_jinja="*"))
    assert (reported(found, "a").way, reported(found, "b").way) == (Way.TEMPLATE, Way.NONE)
    why = "the test alone: its file is empty, so dbt does not run it, either"
    assert ("test.shop.alone", "left out", why) in found.report.remarks
