"""Checks of sources and of other people's assets, as Dagster's definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import ModelsTranslator, ProjectError, WarehouseResource, load_project
from running import Project, make_project

SOURCES = (
    "sources:\n- name: raw\n  tables:\n"
    "  - {name: orders, columns: {n: {checks: [not_null]}}}\n"
    "  - {name: people, columns: {n: {checks: [{relationships: {to: raw.orders, field: n}}]}}}\n"
)
FILES = {
    "models/sources.yaml": SOURCES,
    "models/m/a.sql": "select n from raw.orders",
    "checks/few.sql": "/* @check\nmodel: raw.orders\n*/\nselect * from raw.orders where n > 10",
}


@dg.asset(key=["loader", "orders"], metadata={"dagster/table_name": "raw.orders"})
def orders(context, warehouse: WarehouseResource) -> None:  # type: ignore[no-untyped-def]
    value = context.run.tags.get("value", "1")
    with warehouse.connect() as connection:
        connection.execute("create schema if not exists raw")
        connection.execute(f"create or replace table raw.orders as select {value} as n")


def run(project: Project, **tags: str) -> dg.ExecuteInProcessResult:
    """All assets and checks, those of `orders` as they are after it."""
    defs = load_project(project.root, assets=[orders])
    job: Any = dg.define_asset_job("all", dg.AssetSelection.all())
    merged = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    return merged.resolve_job_def("all").execute_in_process(tags=tags, raise_on_error=False)


def evaluated(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    found = [e for e in result.all_events if e.event_type_value == "ASSET_CHECK_EVALUATION"]
    assert {e.asset_check_evaluation_data.asset_key for e in found} <= {orders.key}
    data = [e.asset_check_evaluation_data for e in found]
    return {it.check_name: it.passed for it in data}


def test_an_asset_of_others_is_checked_after_it_and_before_what_reads_it(tmp_path: Path) -> None:
    project = make_project(tmp_path, FILES)
    result = run(project)
    assert result.success
    assert evaluated(result) == {"not_null_n": True, "few": True}
    assert project.rows("from m.a") == [(1,)]
    result = run(project, value="11")
    assert not result.success
    assert evaluated(result) == {"not_null_n": True, "few": False}
    assert project.rows("from raw.orders") == [(11,)]
    assert project.rows("from m.a") == [(1,)]  # it was not built


def test_the_keys_follow_the_translator(tmp_path: Path) -> None:
    class Moved(ModelsTranslator):
        def get_asset_spec(self, item: Any, project: Any, relation: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(item, project, relation)
            return spec.replace_attributes(key=spec.key.with_prefix("x"))

    project = make_project(tmp_path, FILES)
    defs = load_project(project.root, translator=Moved(), key_prefix="p")
    graph = defs.resolve_asset_graph()
    keys = {key.to_user_string() for key in graph.asset_check_keys}
    assert keys == {
        "x/p/raw/orders:not_null_n",
        "x/p/raw/orders:few",
        "x/p/raw/people:relationships_n",
    }
    job = defs.resolve_implicit_global_asset_job_def()
    assert {node.name for node in job.nodes} == {
        "x__p__m__a",
        "checks_of__p__raw__orders",
        "checks_of__p__raw__people",
    }


def test_two_sources_that_are_one_asset_need_different_names(tmp_path: Path) -> None:
    files = {
        "models/a.sql": "select 1 as n",
        "models/sources.yaml": "sources:\n- name: raw\n  meta: {dagster: {asset_key: [lake]}}\n"
        "  tables:\n  - {name: x, columns: {n: {checks: [unique]}}}\n"
        "  - {name: y, columns: {n: {checks: [unique]}}}\n",
    }
    what = r"sources.yaml:6:38: error: the asset lake has two checks named `unique_n`"
    with pytest.raises(ProjectError, match=what):
        load_project(make_project(tmp_path, files).root)


@pytest.mark.parametrize("selection", ["*", "m.a", 'key:"m/a"'])
def test_a_job_of_checks_that_has_none(tmp_path: Path, selection: str) -> None:
    files = {"models/m/a.sql": "select 1 as n"}
    jobs = f"jobs: {{idle: {{selection: '{selection}', only_checks: true}}}}\n"
    with pytest.raises(ProjectError, match="job idle runs only checks, and what it selects has"):
        load_project(make_project(tmp_path, files, jobs).root)


def test_a_job_of_the_checks_of_one_source(tmp_path: Path) -> None:
    jobs = "jobs: {people: {selection: 'key:\"raw/people\"', only_checks: true}}\n"
    defs = load_project(make_project(tmp_path, FILES, jobs).root)
    graph = defs.resolve_job_def("people").asset_layer.asset_graph
    assert {it.to_user_string() for it in graph.asset_check_keys} == {"raw/people:relationships_n"}
