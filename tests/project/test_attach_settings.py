"""``attach:`` in the project file, and which relation a name with a catalog means."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagster_models.compilation.sql_text import compile_step
from dagster_models.core.model import Key, Project
from dagster_models.errors import ProjectError
from dagster_models.project.targets import usable_target
from project_cases import make

YAML = """name: p
targets:
  dev:
    type: duckdb
    path: target/w.duckdb
    attach:
      shop: ../shop.duckdb
      lake: {files: data/lake, csv: text}
      erp: {postgres: "${ERP_DSN}"}
"""
SOURCES = """
sources:
  - {name: raw, tables: [orders]}
  - {name: shop_raw, catalog: shop, schema: raw, tables: [orders, customers]}
  - name: lake
    catalog: lake
    schema: main
    tables:
      - name: rates
        columns: {rate: {type: "decimal(9,2)"}, day: {type: date}}
"""


@pytest.fixture(autouse=True)
def _erp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_DSN", "postgresql://erp")


def project_of(root: Path, **models: str) -> Project:
    files = {f"models/marts/{name}.sql": text for name, text in models.items()}
    return make(root, {"dagster_models.yaml": YAML, "models/sources.yaml": SOURCES, **files})


def problems_of(root: Path, attach: str) -> list[str]:
    target = f"    type: duckdb\n    path: w.duckdb\n    attach: {attach}\n"
    text = f"name: p\ntargets:\n  dev:\n{target}"
    with pytest.raises(ProjectError) as raised:
        make(root, {"dagster_models.yaml": text})
    return [f"{it.line}: {it.what}" for it in raised.value.problems]


def test_what_is_attached(tmp_path: Path) -> None:
    settings = project_of(tmp_path / "p").targets["dev"].settings
    assert settings["attach"] == {
        "shop": {"duckdb": str(tmp_path / "shop.duckdb")},
        "lake": {"files": str(tmp_path / "p" / "data" / "lake"), "csv": "text"},
        "erp": {"postgres": "${ERP_DSN}"},
    }


WRONG = [
    ("{w: x.duckdb}", "6: `attach`: the name `w` is that of the target's own file, and case"),
    ("{main: x.duckdb}", "6: `attach`: the name `main` is that of DuckDB itself"),
    ("{a b: x.duckdb}", "6: `attach`: 'a b' cannot be a name"),
    ("{a: x.duckdb, A: y.duckdb}", "6: `attach`: the name `A` is that of the entry at"),
    ("{a: x.duckdb, b: ./x.duckdb}", "6: `attach: b`: "),
    ("{a: w.duckdb}", "is the file of the target itself"),
    ("{a: 7}", "6: `attach: a`: expected what to attach, got 7"),
    ("{a: {}}", "6: `attach: a`: there is nothing to attach"),
    ("{a: {duckdb: x, files: y}}", "6: `attach: a`: it is both duckdb and files"),
    ("{a: {folder: x}}", "6: `attach: a`: unknown key `folder`"),
    ("{a: {duckdb: x, csv: text}}", "6: `attach: a`: `csv` is about `files`"),
    ("{a: 's3://x/y'}", "6: `attach: a`: 's3://x/y' is not a path"),
    ("[a]", "`attach`: expected names, got a list"),
    ("{a: {postgres: 'postgresql://me:word@h/d'}}", "`attach` contains a password as plain text"),
]


@pytest.mark.parametrize(("attach", "message"), WRONG, ids=[attach for attach, _ in WRONG])
def test_mistakes(tmp_path: Path, attach: str, message: str) -> None:
    found = problems_of(tmp_path, attach)
    assert [it for it in found if message in it], found
    assert "word@" not in str(found)


def test_a_source_of_a_folder_in_another_schema_is_refused(tmp_path: Path) -> None:
    files = {
        "dagster_models.yaml": YAML,
        "models/sources.yaml": "sources: [{name: lake, catalog: lake, tables: [rates]}]",
    }
    with pytest.raises(ProjectError, match="are in `main`"):
        make(tmp_path, files)


NAMES = {
    "raw.orders": '"raw"."orders"',
    "shop.raw.orders": '"shop"."raw"."orders"',
    "SHOP.raw.Orders": '"shop"."raw"."orders"',
    "shop_raw.orders": '"shop"."raw"."orders"',
    "raw.customers": '"shop"."raw"."customers"',
    "customers": '"shop"."raw"."customers"',
    "lake.rates": '"lake"."main"."rates"',
    "lake.main.rates": '"lake"."main"."rates"',
    "rates": '"lake"."main"."rates"',
}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_name_means(tmp_path: Path, name: str) -> None:
    project = project_of(tmp_path, m=f"select * from {name}")
    step = project.steps[Key("marts", "m")]
    sent = compile_step(project, step, usable_target(project))
    assert sent == f"select * from {NAMES[name]}"
    assert len(step.upstream) == 1


def test_a_name_of_another_catalog_is_not_a_source_of_the_same_name(tmp_path: Path) -> None:
    """`erp.raw.orders` is neither raw.orders nor that of the shop."""
    project = project_of(tmp_path, m="select * from erp.raw.orders")
    step = project.steps[Key("marts", "m")]
    assert step.upstream == ()
    assert compile_step(project, step, usable_target(project)) == "select * from erp.raw.orders"
    (warning,) = project.warnings
    assert "`erp.raw.orders` is not a model, seed or source" in warning.what


def test_models_in_the_schema_of_a_name_that_is_attached_get_their_catalog(
    tmp_path: Path,
) -> None:
    files = {
        "dagster_models.yaml": YAML,
        "models/shop/orders.sql": "select 1 as n",
        "models/marts/m.sql": "select n from shop.orders",
    }
    project = make(tmp_path, files)
    step = project.steps[Key("marts", "m")]
    sent = compile_step(project, step, usable_target(project))
    # A view's text is stored: DuckDB 2 would drop the catalog of a plain name from it.
    assert """query('from "w"."shop"."orders"')""" in sent


def test_columns_are_followed_to_a_source_elsewhere(tmp_path: Path) -> None:
    project = project_of(tmp_path, m="select rate * 2 as twice from lake.main.rates")
    (column,) = project.steps[Key("marts", "m")].trace.columns
    assert column.name == "twice"
    (origin,) = column.sources
    assert origin == (Key("lake", "rates"), "rate")
