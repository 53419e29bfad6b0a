"""A project in a code location that holds other things too: assets, jobs, executors, projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import ModelsTranslator, ProjectError, load_project, models_executor
from dagster_models.definitions.other_assets import name_parts
from running import Project, make_project

MODEL = {"models/a.sql": "select 1 as n"}


@dg.op(out=dg.DynamicOut(int))
def parts() -> object:
    yield dg.DynamicOutput(1, mapping_key="one")
    yield dg.DynamicOutput(2, mapping_key="two")


@dg.op
def twice(number: int) -> int:
    return 2 * number


@dg.op
def total(numbers: list[int]) -> int:
    return sum(numbers)


@dg.job
def theirs() -> None:
    total(parts().map(twice).collect())


@dg.asset(group_name="main")
def other() -> None: ...


def selected(definitions: dg.Definitions, job: str) -> set[str]:
    keys = definitions.resolve_job_def(job).asset_layer.selected_asset_keys
    return {key.to_user_string() for key in keys}


# --- executors and jobs ---------------------------------------------------------------------------


def test_a_location_keeps_its_own_executor(tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    location = dg.Definitions(jobs=[theirs], executor=dg.in_process_executor)
    repository = dg.Definitions.merge(load_project(project.root), location).get_repository_def()
    executors = {name: repository.get_job(name).executor_def.name for name in ("test", "theirs")}
    assert executors == {"test": "models_executor", "theirs": "in_process"}


def test_jobs_of_others_run_as_before(tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    merged = dg.Definitions.merge(load_project(project.root), dg.Definitions(jobs=[theirs]))
    without = dg.Definitions(jobs=[theirs])
    executors = [defs.resolve_job_def("theirs").executor_def.name for defs in (merged, without)]
    assert executors[0] == executors[1]
    assert merged.resolve_job_def("theirs").execute_in_process().output_for_node("total") == 6


def test_models_executor_may_be_the_executor_of_the_location(tmp_path: Path) -> None:
    loaded = load_project(make_project(tmp_path, MODEL).root)
    merged = dg.Definitions.merge(loaded, dg.Definitions(executor=models_executor))
    assert merged.resolve_implicit_global_asset_job_def().executor_def is models_executor


@dg.graph_asset
def dynamic() -> int:
    return total(parts().map(twice).collect())  # type: ignore[no-any-return]


@pytest.mark.parametrize("selection", ["*", 'key:"dynamic"', '+key:"main/reader"'])
def test_a_job_with_dynamic_outputs_is_refused_at_load(selection: str, tmp_path: Path) -> None:
    files = {"models/reader.sql": "/* @model\nupstream: [made.dynamic]\n*/\nselect 1 as n"}
    settings = f"jobs:\n  nightly:\n    selection: '{selection}'\n"
    project = make_project(tmp_path, files, settings)
    tables = {dynamic.key: {"dagster/table_name": "made.dynamic"}}
    given = dynamic.with_attributes(metadata_by_key=tables)
    with pytest.raises(ProjectError) as raised:
        load_project(project.root, assets=[given])
    (problem,) = raised.value.problems
    line = (project.root / "dagster_models.yaml").read_text().splitlines()[problem.line - 1]
    assert selection in line
    assert "job nightly selects dynamic, whose graph has dynamic outputs" in problem.what
    assert f"selection: '{selection} and not key:\"dynamic\"'" in problem.fix


def test_a_job_that_leaves_dynamic_outputs_out_is_right(tmp_path: Path) -> None:
    settings = "jobs: {nightly: {selection: 'not key:\"dynamic\"'}}\n"
    project = make_project(tmp_path, MODEL, settings)
    assert selected(load_project(project.root, assets=[dynamic]), "nightly") == {"main/a"}


# --- what a selection selects ---------------------------------------------------------------------

SELECTIONS = ["*", 'group:"main"', "not tag:slow", 'key:"*"', "kind:duckdb or group:main"]


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_job_selects_what_is_the_projects_own(selection: str, tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL, f"jobs: {{test: {{selection: '{selection}'}}}}\n")
    merged = dg.Definitions.merge(load_project(project.root), dg.Definitions(assets=[other]))
    assert selected(merged, "test") == {"main/a"}
    assert selected(load_project(project.root, assets=[other]), "test") >= {"main/a"}


def test_an_asset_that_is_given_to_the_project_is_its_own(tmp_path: Path) -> None:
    project = make_project(tmp_path, MODEL)
    assert selected(load_project(project.root, assets=[other]), "test") == {"main/a", "other"}


def test_the_models_of_another_project_are_left_to_its_own_jobs(tmp_path: Path) -> None:
    one = load_project(make_project(tmp_path / "1", MODEL).root)
    files = {"models/b.sql": "select n from main.a"}
    two = make_project(tmp_path / "2", files, "jobs: {two: {}}\n")
    of_one: list[Any] = list(one.assets or ())
    loaded = load_project(two.root, assets=of_one, resource_key="other")
    merged = dg.Definitions.merge(one, loaded)
    assert selected(merged, "test") == {"main/a"}
    assert selected(merged, "two") == {"main/b"}
    graph = merged.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["main", "b"])).parent_keys == {dg.AssetKey(["main", "a"])}


# --- two projects ---------------------------------------------------------------------------------

PREFIXED = {
    "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
    "models/a.sql": "select 1 as n",
    "models/b.sql": "/* @model\nupstream: [raw.orders]\n*/\nselect n from a",
}
PREFIXED_SETTINGS = "jobs: {nightly: {}}\nschedules: {daily: {job: nightly, cron: '0 6 * * *'}}\n"


def two_projects(folder: Path) -> tuple[Project, Project, dg.Definitions]:
    """The same models twice, kept apart in Python for the one and in its file for the other."""
    one = make_project(folder / "1", PREFIXED, PREFIXED_SETTINGS)
    two = make_project(folder / "2", PREFIXED, "key_prefix: [eu, sales]\n" + PREFIXED_SETTINGS)
    merged = dg.Definitions.merge(load_project(one.root, key_prefix="us"), load_project(two.root))
    return one, two, merged


def test_a_key_prefix_keeps_two_projects_apart(tmp_path: Path) -> None:
    one, two, merged = two_projects(tmp_path)
    dg.Definitions.validate_loadable(merged)
    repository = merged.get_repository_def()
    assert selected(merged, "us__nightly") == {"us/main/a", "us/main/b"}
    assert selected(merged, "eu__sales__nightly") == {"eu/sales/main/a", "eu/sales/main/b"}
    assert set(repository.get_top_level_resources()) == {"us_warehouse", "eu_sales_warehouse"}
    assert {schedule.name for schedule in repository.schedule_defs} == {
        "us__daily",
        "eu__sales__daily",
    }
    job = repository.get_job("eu__sales__nightly")
    assert {node.name for node in job.nodes} == {"eu__sales__main__a", "eu__sales__main__b"}
    node = repository.asset_graph.get(dg.AssetKey(["us", "main", "b"]))
    assert {key.to_user_string() for key in node.parent_keys} == {"us/main/a", "us/raw/orders"}
    (dep,) = node.metadata["dagster/column_lineage"].deps_by_column["n"]
    assert dep.asset_key == dg.AssetKey(["us", "main", "a"])
    assert merged.resolve_job_def("us__nightly").execute_in_process().success
    assert one.rows("from main.b") == [(1,)]
    assert not two.database.exists()


@pytest.mark.parametrize("prefix", ["a b", "a/b", "", "ä", ["a", "b-c"]])
def test_a_key_prefix_that_no_op_could_have_is_refused(
    prefix: str | list[str], tmp_path: Path
) -> None:
    project = make_project(tmp_path, MODEL)
    with pytest.raises(ValueError, match="letters, digits and _ only"):
        load_project(project.root, key_prefix=prefix)
    settings = make_project(tmp_path / "2", MODEL, f"key_prefix: {prefix!r}\n")
    with pytest.raises(ProjectError, match="key_prefix: finance"):
        load_project(settings.root)


# --- sources --------------------------------------------------------------------------------------

KEYED = """
sources:
  - name: raw
    tables:
      - name: orders
        meta: {dagster: {asset_key: [lake, all]}}
      - name: items
        meta: {dagster: {asset_key: [lake, all]}, rows: many}
"""


def test_a_source_may_say_which_asset_builds_it(tmp_path: Path) -> None:
    reads = "select 1 as n from raw.orders, raw.items"
    files = {"models/sources.yaml": KEYED, "models/b.sql": reads}
    loaded = load_project(make_project(tmp_path, files).root, key_prefix="us")
    node = loaded.resolve_asset_graph().get(dg.AssetKey(["us", "main", "b"]))
    assert {key.to_user_string() for key in node.parent_keys} == {"lake/all"}

    @dg.asset(key=["lake", "all"])
    def lake() -> None: ...

    merged = dg.Definitions.merge(loaded, dg.Definitions(assets=[lake]))
    dg.Definitions.validate_loadable(merged)
    assert merged.resolve_asset_graph().get(lake.key).is_materializable


@pytest.mark.parametrize("key", ["raw/orders", "[]", "[raw, 1]", "{a: b}"])
def test_an_asset_key_that_is_none_is_refused_with_its_place(key: str, tmp_path: Path) -> None:
    text = KEYED.replace("[lake, all]", key, 1)
    files = {**MODEL, "models/sources.yaml": text}
    project = make_project(tmp_path, files, "load: strict\n")
    with pytest.raises(ProjectError) as raised:
        load_project(project.root)
    (problem,) = raised.value.problems
    assert (problem.path, problem.line) == ("models/sources.yaml", 5)
    assert "asset_key: [schema, table]" in problem.fix


def test_a_source_whose_key_is_there_already_is_not_defined_again(tmp_path: Path) -> None:
    @dg.asset(key=["raw", "orders"])  # and no table name
    def orders() -> None: ...

    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
        "models/b.sql": "select 1 as n from raw.orders",
    }
    loaded = load_project(make_project(tmp_path, files).root, assets=[orders])
    dg.Definitions.validate_loadable(loaded)
    node = loaded.resolve_asset_graph().get(dg.AssetKey(["main", "b"]))
    assert node.parent_keys == {orders.key}


def test_an_asset_with_the_table_of_a_model_does_not_take_its_place(tmp_path: Path) -> None:
    given = dg.AssetSpec("given", metadata={"dagster/table_name": "main.a"})
    project = make_project(tmp_path, {**MODEL, "models/b.sql": "select n from a"})
    graph = load_project(project.root, assets=[given]).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["main", "b"])).parent_keys == {dg.AssetKey(["main", "a"])}


DECLARED = """
sources:
  - name: raw
    schema: Raw_Prod
    tables: [{name: orders, identifier: orders_v2}]
"""


@pytest.mark.parametrize("declared", ["", DECLARED])
@pytest.mark.parametrize(
    "name",
    [
        "RAW_PROD.ORDERS_V2",
        '"raw_prod"."Orders_V2"',
        "db.`raw_prod`.`orders_v2`",
        "[raw_prod].[orders_v2]",
    ],
)
def test_a_table_name_matches_in_any_case_and_quotes(
    declared: str, name: str, tmp_path: Path
) -> None:
    spec = dg.AssetSpec("loader", metadata={"dagster/table_name": name})
    read = "raw.orders" if declared else "raw_prod.orders_v2"
    files = {"models/b.sql": f"select 1 as n from {read}"}
    if declared:
        files["models/sources.yaml"] = declared
    loaded = load_project(make_project(tmp_path, files).root, assets=[spec])
    dg.Definitions.validate_loadable(loaded)
    graph = loaded.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["main", "b"])).parent_keys == {spec.key}
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {"main/b", "loader"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.c", ("a", "b", "c")),
        ('"a.b"."say ""hi"""', ("a.b", 'say "hi"')),
        ("[my db]..t", ("my db", "t")),
        ("`p-1`.d.`t`", ("p-1", "d", "t")),
        ("", ()),
    ],
)
def test_the_parts_of_a_name(name: str, expected: tuple[str, ...]) -> None:
    assert name_parts(name) == expected


class Under(ModelsTranslator):
    """Puts a key prefix of its own before all keys."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(*arguments)
        return spec.replace_attributes(key=spec.key.with_prefix(self._prefix))


def test_translators_can_keep_two_projects_apart(tmp_path: Path) -> None:
    """The ops are named like the keys, and so do not meet in a job that has both."""
    one, two = (
        make_project(tmp_path / name, PREFIXED, f"jobs: {{{name}: {{}}}}\n") for name in "ab"
    )
    merged = dg.Definitions.merge(
        load_project(one.root, translator=Under("one")),
        load_project(two.root, translator=Under("two"), resource_key="second"),
    )
    assert selected(merged, "b") == {"two/main/a", "two/main/b"}
    job = merged.resolve_implicit_global_asset_job_def()
    names = {f"{prefix}__main__{name}" for prefix in ("one", "two") for name in "ab"}
    assert {node.name for node in job.nodes} == names
