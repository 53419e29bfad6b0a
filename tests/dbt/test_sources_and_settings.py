"""Sources, targets, exposures, constraints, and what is only reported."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagster_models.cli.main import main
from dagster_models.dbt.importing import ImportOptions, import_project
from dagster_models.dbt.project.manifest import DbtRelation, Manifest
from dagster_models.dbt.project.names import NodeNames
from dagster_models.dbt.project.remarks import DBTS_OWN, Weight
from dagster_models.dbt.properties.beside_sql import BesideSql, DbtLookup, beside_sql
from dagster_models.dbt.properties.configuration import header_of
from dagster_models.dbt.properties.profiles import target_of
from dbt_cases import Texts, dbt_test, manifest_of, step
from project_cases import load, write_project

ORDERS = "source.shop.raw.orders"


def source(name: str = "orders", **given: Any) -> dict[str, Any]:
    return {
        "unique_id": f"source.shop.raw.{name}",
        "package_name": "shop",
        "source_name": "raw",
        "name": name,
        "original_file_path": "models/s.yml",
        "database": "dev",
        "schema": "raw_prod",
        "identifier": name,
        "relation_name": f'"dev"."raw_prod"."{name}"',
        **given,
    }


def beside(manifest: Manifest) -> BesideSql:
    lookup, texts = DbtLookup(manifest, NodeNames(manifest), ()), Texts()
    steps = (it for it in manifest.nodes.values() if it.kind in ("model", "snapshot"))
    headers = {it.unique_id: header_of(it, manifest, texts, "duckdb") for it in steps}
    return beside_sql(manifest, lookup, headers, texts, "duckdb", lambda _: ())


def test_sources(tmp_path: Path) -> None:
    orders = source(
        identifier="orders_v2",
        description="All orders.",
        source_description="The shop.",
        database="erp",
        meta={"rows": 1},
        loaded_at_field="at",
        freshness={
            "warn_after": {"count": 12, "period": "hour"},
            "error_after": {"count": None, "period": None},
            "filter": "id > 0",
        },
        columns={"ID": {"name": "ID", "data_type": "bigint", "description": "its number"}},
        tags=["x"],
    )
    found = beside(
        manifest_of(
            tmp_path,
            step("a", ORDERS),
            dbt_test(ORDERS, "unique", "id"),
            sources={ORDERS: orders},
        )
    )
    assert found.sources == {
        "version": 2,
        "sources": [
            {
                "name": "raw",
                "schema": "raw_prod",
                "catalog": "erp",
                "description": "The shop.",
                "tables": [
                    {
                        "name": "orders",
                        "identifier": "orders_v2",
                        "description": "All orders.",
                        "loaded_at": "at",
                        "freshness": {"warn": "12h", "where": "id > 0"},
                        "columns": {
                            "ID": {
                                "description": "its number",
                                "type": "bigint",
                                "checks": ["unique"],
                            }
                        },
                        "meta": {"rows": 1},
                    }
                ],
            }
        ],
    }
    assert [it.what for it in found.remarks if it.of == ORDERS] == [
        "`tags: ('x',)` of a source has no counterpart"
    ]
    files = {
        "dagster_models.yaml": "name: p",
        "models/sources.yaml": yaml.safe_dump(found.sources),
        "models/a.sql": "select id from raw.orders",
    }
    project = load(write_project(tmp_path / "ours", files))
    (read,) = project.sources.values()
    assert [check.name for check in read.checks] == ["freshness", "unique_ID"]


def test_a_source_that_is_a_seed_is_not_declared(tmp_path: Path) -> None:
    same = source(schema="marts", relation_name='"dev"."marts"."orders"')
    seed = {**step("orders", kind="seed"), "original_file_path": "seeds/orders.csv"}
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds/orders.csv").write_text("id\n1\n")
    tests = dbt_test(ORDERS, "unique", "id")
    found = beside(manifest_of(tmp_path, seed, tests, sources={ORDERS: same}))
    assert found.sources == {}
    assert found.seeds["seed.shop.orders"] == {
        "column_types": {"id": "integer"},
        "columns": {"id": {"checks": ["unique"]}},
    }


def test_constraints_of_a_contract_are_checks(tmp_path: Path) -> None:
    columns = {
        "id": {
            "name": "id",
            "data_type": "integer",
            "constraints": [{"type": "primary_key"}, {"type": "check", "expression": "id > 0"}],
        },
        "a_id": {
            "name": "a_id",
            "data_type": "integer",
            "constraints": [{"type": "foreign_key", "to": "ref('a')", "to_columns": ["id"]}],
        },
    }
    config = {"materialized": "table", "contract": {"enforced": True}}
    node = step("b", "model.shop.a", columns=columns, config=config)
    custom = {"constraints": [{"type": "custom", "expression": "x"}]}
    tests = dbt_test("model.shop.b", "not_null", "id")
    found = beside(manifest_of(tmp_path, step("a"), {**node, **custom}, tests))
    header = found.headers["model.shop.b"].values
    assert header["columns"] == {
        "id": {"type": "integer", "checks": ["not_null", "unique"]},
        "a_id": {
            "type": "integer",
            "checks": [{"relationships": {"to": "marts.a", "field": "id"}}],
        },
    }
    assert header["checks"] == [{"expression": {"sql": "id > 0"}}]
    assert [it.what for it in found.remarks if it.weight is Weight.DIFFERS] == [
        "the constraint custom of the model has no counterpart"
    ]


def test_exposures_are_assets_that_dagster_can_read(tmp_path: Path) -> None:
    board = {
        "name": "board",
        "type": "dashboard",
        "description": 'What "we" sell.',
        "url": "https://example.org",
        "owner": {"name": "Ann", "email": "ann@example.org"},
        "depends_on": {"nodes": ["model.shop.a"]},
        "tags": ["x y"],
        "meta": {"rows": 1},
    }
    found = beside(manifest_of(tmp_path, step("a"), exposures={"exposure.shop.board": board}))
    space: dict[str, Any] = {}
    exec(compile(ast.parse(found.exposures), "exposures.py", "exec"), space)
    (spec,) = space["EXPOSURES"]
    assert spec.key.path == ["exposures", "board"]
    assert [dep.asset_key.path for dep in spec.deps] == [["marts", "a"]]
    assert (spec.owners, spec.tags["x_y"]) == (["ann@example.org"], "")
    assert spec.metadata == {"url": "https://example.org", "rows": 1}
    assert {"exposure", "dashboard"} <= spec.kinds


def test_what_has_no_counterpart_is_reported(tmp_path: Path) -> None:
    hook = {**step("hook", kind="operation"), "raw_code": "vacuum", "tags": ["on-run-end"]}
    found = beside(
        manifest_of(
            tmp_path,
            hook,
            metrics={"metric.shop.m": {}},
            semantic_models={"semantic_model.shop.s": {}},
            disabled={"model.shop.old": [{"resource_type": "model"}]},
        )
    )
    assert {(it.of, it.weight) for it in found.remarks if it.of} == {
        ("operation.shop.hook", Weight.DIFFERS),
        ("metric.shop.m", Weight.LEFT_OUT),
        ("semantic_model.shop.s", Weight.LEFT_OUT),
        ("model.shop.old", Weight.NOTE),
    }


@pytest.mark.parametrize(
    ("when", "said"), [("on-run-start", "`downstream:`"), ("on-run-end", "`upstream:`")]
)
def test_a_hook_of_the_run_is_shown_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], when: str, said: str
) -> None:
    """In the terminal, too: models may need what it makes."""
    hook = {**step("hook", kind="operation"), "raw_code": "create\n schema x", "tags": [when]}
    manifest_of(tmp_path / "shop", step("a"), hook)
    assert main(["import-dbt", str(tmp_path / "shop")]) == 0
    (line,) = [it for it in capsys.readouterr().out.splitlines() if when in it]
    assert line.startswith(f"  shop: {when}: `create schema x`: no run here does this")
    assert said in line


POSTGRES = {
    "type": "postgres",
    "host": "{{ env_var('PG_HOST') }}",
    "port": 5432,
    "user": "me",
    "password": "s3cret",
    "dbname": "shop",
    "schema": "dbt_me",
    "threads": 4,
    "search_path": "x",
    "sslmode": "require",
    "unknown": 1,
}


def profile(folder: Path, **output: Any) -> dict[str, Any]:
    content = {"shop": {"target": "dev", "outputs": {"dev": output}}}
    (folder / "profiles.yml").write_text(yaml.safe_dump(content))
    found, _ = target_of(manifest_of(folder, adapter=output["type"]), None)
    return found


def test_a_model_that_dbt_has_in_another_database_is_reported(tmp_path: Path) -> None:
    """The target's database is that of what names none of its own, whatever stands first."""
    elsewhere = {"database": "erp", "config": {"database": "erp"}}
    nodes = [step("a", **elsewhere), step("b", **elsewhere), step("c")]
    inner = step("d", config={"materialized": "ephemeral", "database": "erp"}, relation_name=None)
    manifest = manifest_of(tmp_path, *nodes, inner, sources={ORDERS: source()})
    found = beside(manifest)
    what = "dbt has it in the database erp, and here it is in that of the target"
    told = {it.of: it.weight for it in found.remarks if it.what == what}
    assert told == {"model.shop.a": Weight.DIFFERS, "model.shop.b": Weight.DIFFERS}
    (declared,) = found.sources["sources"]
    assert "catalog" not in declared


def test_targets_never_hold_a_secret(tmp_path: Path) -> None:
    assert profile(tmp_path, **POSTGRES) == {
        "dev": {
            "type": "postgres",
            "host": "${PG_HOST}",
            "port": 5432,
            "user": "me",
            "password": "${SHOP_PASSWORD}",
            "dbname": "shop",
            "threads": 4,
            "sslmode": "require",
        }
    }
    given = profile(tmp_path, **{**POSTGRES, "password": "{{ env_var('PGPASS') }}"})
    assert given["dev"]["password"] == "${PGPASS}"
    duck = profile(tmp_path, type="duckdb", path="x.duckdb", settings={"s3_secret_key": "abc"})
    assert duck == {"dev": {"type": "duckdb", "path": "x.duckdb"}}


def test_databases_that_duckdb_attaches(tmp_path: Path) -> None:
    """All of them, or none: with a part of them, a name could mean another table."""
    files = [{"path": "other/crm.v2.db"}, {"path": "{{ env_var('ERP') }}", "alias": "erp"}]
    found = profile(tmp_path, type="duckdb", path="x.duckdb", attach=files)["dev"]
    assert found["attach"] == {
        "crm": {"duckdb": "other/crm.v2.db"},
        "erp": {"duckdb": "${ERP}"},
    }
    for other in (
        {"path": "md:shop"},
        {"path": "s3://b/x.duckdb"},
        {"path": "x.db", "type": "sqlite"},
        {"path": "x.duckdb", "secret": "s"},
        {"path": "a-b.duckdb"},  # `attach` has no such name, so the project would not load
        {"path": "{{ env_var('ERP') }}"},  # its name is known when it is attached
    ):
        profile(tmp_path, type="duckdb", path="x.duckdb", attach=[*files, other])
        target, remarks = target_of(manifest_of(tmp_path), None)
        assert "attach" not in target["dev"]
        lost = [it for it in remarks if not it.what.endswith(DBTS_OWN)]
        assert ["`attach`" in it.what for it in lost] == [True]


def test_relative_paths_lead_to_the_files_that_dbt_has(tmp_path: Path) -> None:
    shop, ours = tmp_path / "shop", tmp_path / "elsewhere/ours"
    shop.mkdir()
    files = [{"path": "../crm.db"}, {"path": "/data/erp.db"}, {"path": "~/hr.db"}]
    profile(shop, type="duckdb", path="data/${X}.duckdb", attach=files)
    target = target_of(manifest_of(shop), None, ours)[0]["dev"]
    assert target["path"] == "../../shop/data/${X}.duckdb"
    assert {name: it["duckdb"] for name, it in target["attach"].items()} == {
        "crm": "../../crm.db",
        "erp": "/data/erp.db",
        "hr": "~/hr.db",
    }
    for path in ("/data/x.duckdb", "~/x.duckdb", "${DB}"):
        profile(shop, type="duckdb", path=path)
        assert target_of(manifest_of(shop), None, ours)[0]["dev"]["path"] == path
    for path in (":memory:", "md:shop", "s3://b/x.duckdb", "motherduck:shop", "ducklake:meta.db"):
        profile(shop, type="duckdb", path=path)
        found, remarks = target_of(manifest_of(shop), None, ours)
        assert found["dev"]["path"] == "target/shop.duckdb"
        assert ["`path`" in it.what for it in remarks] == [True] * (path != ":memory:")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("{{ env_var('DB', './x.duckdb') }}", "${DB-../../shop/x.duckdb}"),
        ('{{ env_var("DIR", default="data") }}/x.duckdb', "${DIR-../../shop/data}/x.duckdb"),
        ("data/{{ env_var('N', 7) }}.duckdb", "../../shop/data/${N-7}.duckdb"),
        ("{{ env_var('DB', '/data/x.duckdb') }}", "${DB-/data/x.duckdb}"),
        ("{{ env_var('DB', '') }}", "${DB}"),
        ("shop{{ env_var('S', '') }}.db", "../../shop/shop${S-}.db"),
        ("{{ env_var('S', '') }}x.db", "${S:-../../shop/}x.db"),
        ("{{ env_var('DIR', '') }}/x.db", "${DIR-}/x.db"),
        ("{{ 'data/' ~ env_var('DB') }}", "../../shop/data/${DB}"),
        ("{{- env_var('DB', 'x.db') -}}", "${DB-../../shop/x.db}"),
        ("{{ env_var('DB', target.name) }}", "${DB}"),
        ("{{ env_var('DB', 'a' ~ '.db') }}", "${DB}"),
        ("{{ env_var('DIR', 'data') ~ '/x.duckdb' }}", "${DIR-../../shop/data}/x.duckdb"),
        ("x/{{ env_var('A') ~ '_' ~ env_var('B', 2) }}.db", "../../shop/x/${A}_${B-2}.db"),
        ("{{ env_var('A') }}/{{ target.name }}.db", "${A}/{{ target.name }}.db"),
        ("{{ env_var('DB', 'a') if var('x') else 'b' }}", "${DB}"),
        ("{{ env_var('DB', 'a') | upper }}", "${DB}"),
        ("{{ env_var('DB', 'a\\\\b') }}", "${DB-../../shop/a\\b}"),
        ("{{ env_var('DB', 'a)b') | as_text }}", "${DB-../../shop/a)b}"),
        ("{{ env_var('DB', ':memory:') }}", "target/shop.duckdb"),
    ],
)
def test_a_default_of_env_var_is_that_of_the_setting(
    tmp_path: Path, path: str, expected: str
) -> None:
    shop = tmp_path / "shop"
    shop.mkdir()
    profile(shop, type="duckdb", path=path)
    target = target_of(manifest_of(shop), None, tmp_path / "elsewhere/ours")[0]["dev"]
    assert target["path"] == expected


@pytest.mark.parametrize(
    "path",
    [
        "{{ env_var('DB') ~ target.name }}",
        "{{ env_var('DB', 'a') if var('x') else 'b' }}",
        "x/{{ env_var('DB') | upper }}.db",
        "{{ env_var('DB', 'a' ~ var('x')) ~ '.db' ~ var('y') }}",
        "{{ env_var('DB') }}/{{ target.name ~ env_var('NAME') }}.db",
    ],
)
def test_a_text_that_is_lost_beside_a_variable_is_reported(tmp_path: Path, path: str) -> None:
    """A variable that is set would else be taken for all of it. A secret may stand there."""
    attached = [{"path": path, "alias": "erp"}]
    profile(tmp_path, type="duckdb", path=path, attach=attached)
    targets, remarks = target_of(manifest_of(tmp_path), None)
    assert "${DB}" in targets["dev"]["path"]
    assert "attach" not in targets["dev"]
    assert [it.what for it in remarks][:2] == [
        "`attach` of the profile's target dev has no counterpart",
        "`path` of the profile's target dev is computed: only the variable is written",
    ]
    profile(tmp_path, type="duckdb", path="{{ env_var('DB', 'a') ~ '.db' }}")
    _, remarks = target_of(manifest_of(tmp_path), None)
    assert not any("is computed" in it.what for it in remarks)


def test_the_default_of_a_password_is_not_read(tmp_path: Path) -> None:
    given = profile(tmp_path, **{**POSTGRES, "password": "{{ env_var('PW', 's3cret') }}"})
    assert given["dev"]["password"] == "${PW}"


def test_a_file_whose_name_a_variable_may_change_has_no_name_of_its_own(tmp_path: Path) -> None:
    erp = "{{ env_var('ERP', './erp.db') }}"
    for file, expected in (({"path": erp, "alias": "erp"}, "${ERP-erp.db}"), ({"path": erp}, "")):
        found = profile(tmp_path, type="duckdb", path="x.duckdb", attach=[file])["dev"]
        assert found.get("attach", {}).get("erp", {}).get("duckdb", "") == expected


def test_an_import_says_that_a_run_builds_in_dbts_own_database(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, expected in (("shop.duckdb", True), (":memory:", False)):
        shop = tmp_path / path.strip(":")
        shop.mkdir()
        profile(shop, type="duckdb", path=path)
        manifest_of(shop, step("a"))
        assert main(["import-dbt", str(shop)]) == 0
        said = capsys.readouterr().out
        assert (f"The target dev {DBTS_OWN}. For a trial, write another" in said) == expected


def test_a_quoted_name_with_a_parenthesis_is_a_table() -> None:
    for written in ('raw.sales."Sales (EU)"', "`a(b`.c", '"a""(".b', "[x (y)].z"):
        assert not DbtRelation("raw", "sales", "x", written).is_file
    for written in ("'data/x.csv'", "read_csv('a(b.csv')", 'read_csv("a", x=[1])'):
        assert DbtRelation("raw", "sales", "x", written).is_file


@pytest.mark.parametrize("before", ["", "{% set x = 1 %}"])  # the source text, and rendered
def test_a_source_that_is_a_file_is_named_by_the_models_that_read_it(
    tmp_path: Path, before: str
) -> None:
    """dbt-duckdb's `external_location`: there is no table for a declaration or a check."""
    file, function = "'data/sent_x.csv'", "read_csv('s3://b/y.csv')"
    both = [source("sent", relation_name=file), source("paid", relation_name=function)]
    sources = {it["unique_id"]: it for it in both}
    text = "select * from {{ source('raw', 'sent') }} join {{ source('raw', 'paid') }} using (id)"
    model = step("a", *sources, raw_code=before + text, language="sql")
    asked = {"test_metadata": None, "raw_code": "select 1 from {{ source('raw', 'sent') }}"}
    test = {**dbt_test("source.shop.raw.sent", "mine", name="singular"), **asked}
    found = import_project(manifest_of(tmp_path, model, test, sources=sources), ImportOptions())
    written = f"select * from {file} join {function} using (id)\n"
    assert str(found.files["models/marts/a.sql"]).endswith(written)
    assert "models/sources.yaml" not in found.files
    said = {of: (weight, what) for of, weight, what in found.report.remarks}
    weight, what = said["source.shop.raw.sent"]
    assert (weight, f"models read `{file}`" in what) == ("differs", True)
    assert test["unique_id"] not in said
    query = str(found.files["checks/singular.sql"])
    assert "model: marts.a\n" in query
    assert query.endswith(f"select 1 from {file}\n")


def test_a_profile_that_is_no_yaml_is_named_without_its_text(tmp_path: Path) -> None:
    file = tmp_path / "profiles.yml"
    for password in ("s3cret: x", "*s3cret"):
        file.write_text(f"shop:\n  password: {password}\n")
        _, (remark,) = target_of(manifest_of(tmp_path), None)
        what = "no profile 'shop' was found, so the target is one to fill in"
        assert remark.what.startswith(f"{what}: {file}: not YAML at line 2, column 1")
        assert "s3cret" not in remark.what


def test_a_target_without_a_profile_is_one_to_fill_in(tmp_path: Path) -> None:
    found, remarks = target_of(manifest_of(tmp_path, adapter="snowflake"), None)
    assert found == {"dev": {"type": "duckdb", "path": "target/shop.duckdb"}}
    assert [it.weight for it in remarks] == [Weight.LEFT_OUT, Weight.DIFFERS]
