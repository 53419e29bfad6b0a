"""Models that ask for the columns of a relation, whose names target/catalog.json has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dagster_models.dbt.importing import Imported, ImportOptions, import_project
from dagster_models.dbt.report import ReportedModel
from dagster_models.dbt.text.model_text import Way
from dbt_cases import manifest_of, step

STAR = (
    "{% macro star(of, but=[]) %}{% for it in adapter.get_columns_in_relation(of)"
    " if it.name not in but %}{{ adapter.quote(it.column) }}"
    "{% if not loop.last %}, {% endif %}{% endfor %}{% endmacro %}"
)
ALL_BUT = "select {{ star(ref('orders'), ['paid']) }} from {{ ref('orders') }}"
MADE = {"metadata": {"generated_at": "2026-01-02T03:04:05Z"}}


def relation(name: str, *columns: str, database: str | None = "dev") -> dict[str, Any]:
    """An entry of the catalog. dbt writes the columns in any order, each with its place."""
    places = [(it, {"type": "TEXT", "index": at, "name": it}) for at, it in enumerate(columns, 1)]
    metadata = {"type": "BASE TABLE", "database": database, "schema": "marts", "name": name}
    return {"metadata": metadata, "columns": dict(reversed(places))}


def imported(folder: Path, text: str, catalog: object, **config: str) -> Imported:
    nodes = step("orders", raw_code="select 1"), step("asks", raw_code=text, config=config)
    manifest = manifest_of(folder, *nodes, macros={"macro.shop.star": STAR})
    (folder / "target/catalog.json").write_text(json.dumps(catalog))
    return import_project(manifest, ImportOptions())


def of_asks(it: Imported) -> ReportedModel:
    return next(model for model in it.report.models if model.unique_id.endswith("asks"))


def test_names_and_their_order_are_the_catalogs(tmp_path: Path) -> None:
    orders = relation("ORDERS", "id", "PAID", "paid", "At It")
    done = imported(tmp_path, ALL_BUT, {**MADE, "nodes": {"model.shop.orders": orders}})
    model = of_asks(done)
    assert model.way is Way.RENDERED
    assert str(done.files[model.path]).endswith('select "id", "PAID", "At It" from orders\n')
    names = "id, PAID, paid, At It (target/catalog.json of 2026-01-02T03:04:05Z)"
    assert model.frozen == {"columns of marts.orders": names}


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        (ALL_BUT, {}),
        (ALL_BUT, {"o": relation("orders", "id", database="other")}),
        (ALL_BUT, {"o": relation("orders", "id"), "p": relation("Orders", "key")}),
        (ALL_BUT, {"o": relation("orders")}),
        ("select {{ star(this) }} from {{ ref('orders') }}", {"a": relation("asks", "id")}),
        (
            "{{ (adapter.get_columns_in_relation(ref('orders')) | first).dtype }}",
            {"o": relation("orders", "id")},
        ),
        ("{{ adapter.get_relation('dev', 'marts', 'orders') }}", {"o": relation("orders", "id")}),
    ],
    ids=["none", "another database", "two but for case", "no columns", "itself", "a type", "more"],
)
def test_what_the_catalog_does_not_say_needs_the_warehouse(
    tmp_path: Path, text: str, nodes: dict[str, object]
) -> None:
    model = of_asks(imported(tmp_path, text, {**MADE, "nodes": nodes}))
    assert model.disabled
    assert "asks the warehouse while dbt compiles" in model.why


def test_a_relation_that_two_sources_name_has_its_columns(tmp_path: Path) -> None:
    both = {key: relation("orders", "id", "paid") for key in ("source.shop.a.o", "source.shop.b.o")}
    model = of_asks(imported(tmp_path, ALL_BUT, {**MADE, "sources": both}))
    assert model.way is Way.RENDERED


def test_a_source_is_in_the_catalog_too(tmp_path: Path) -> None:
    text = "select {{ star(api.Relation.create('dev', 'marts', 'orders')) }} from x"
    catalog = {**MADE, "sources": {"source.shop.marts.orders": relation("orders", "id")}}
    done = imported(tmp_path, text, catalog)
    assert str(done.files[of_asks(done).path]).endswith('select "id" from x\n')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"nodes": []}', "nodes is '\\[\\]'"),
        (b"{", "not JSON"),
        (b"[]", "no mapping"),
        (b"\xff", "cannot be read"),
        (b'{"nodes": {"o": {"metadata": {"schema": 3}}}}', "schema is '3'"),
        (b"[" * 100_000, ""),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_catalog_ends_no_import_and_is_named(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    manifest = manifest_of(tmp_path, step("orders", raw_code="select 1 as n"))
    file = tmp_path / "target/catalog.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    done = import_project(manifest, ImportOptions())
    assert done.report.models[0].way is Way.SOURCE
    (remark,) = (what for _, _, what in done.report.remarks if "catalog.json" in what)
    assert re.search(rf"target/catalog\.json: .*{said}.*dbt docs generate", remark)
