"""A project as Dagster sees it: assets, sources, checks, jobs, and what Dagster refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import ModelsTranslator, ProjectError, load_project
from dagster_models.cli.check import refusals
from dagster_models.core.model import Key
from dagster_models.definitions.build import node_name
from project_cases import load, write_project
from running import Project, make_project

SOURCES = """
sources:
  - name: raw
    description: as it comes
    tables:
      - name: flights
        columns: [{name: id, description: the key}]
"""
MODEL = """/* @model
description: Flights, cleaned.
owner: ops@example.com
tags: [nightly]
columns:
  id: {description: the key, checks: [unique, {not_null: {severity: warn}}]}
*/
select id from raw.flights
"""
FILES = {
    "models/sources.yaml": SOURCES,
    "models/staging/stg_flights.sql": MODEL,
    "models/marts/total.sql": "select count(*) as n from stg_flights",
    "models/marts/forecast.py": "def model(warehouse):\n    return warehouse.table('total')\n",
    "scripts/tell.py": "from dagster_models import warehouse\nwarehouse.table('forecast').df()\n",
    "seeds/names.csv": "id,name\n1,one\n",
}
JOBS = "jobs: {test: {selection: '*'}}\nschedules: {daily: {job: test, cron: '0 6 * * *'}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES, JOBS)


def test_dagster_has_the_retry_policy(tmp_path: Path) -> None:
    header = "/* @model\nretries: {max_retries: 3, delay: 2, backoff: linear, jitter: full}\n*/\n"
    files = {"models/a.sql": f"{header}select 1 as n", "models/b.sql": "select n from a"}
    project = make_project(tmp_path, files)
    job = load_project(project.root).resolve_job_def("test")
    policies = {node.name: node.definition.retry_policy for node in job.nodes}
    expected = dg.RetryPolicy(3, 2.0, dg.Backoff.LINEAR, dg.Jitter.FULL)
    assert policies == {"main__a": expected, "main__b": None}


def test_the_assets_of_a_project(project: Project) -> None:
    defs = load_project(project.root)
    dg.Definitions.validate_loadable(defs)
    graph = defs.resolve_asset_graph()
    key = dg.AssetKey(["staging", "stg_flights"])
    node = graph.get(key)
    assert node.group_name == "staging"
    assert node.owners == ["ops@example.com"]
    assert node.kinds == {"sql", "duckdb", "table"}
    assert "nightly" in node.tags
    assert node.code_version
    assert node.description == "Flights, cleaned."
    sql = node.metadata["dagster_models/sql"]
    assert sql == dg.MetadataValue.md("```sql\nselect id from raw.flights\n```"), "without header"
    assert node.metadata["dagster/table_name"] == "staging.stg_flights"
    (reference,) = node.metadata["dagster/code_references"].code_references
    assert reference.file_path == str(project.root / "models/staging/stg_flights.sql")
    checks = {check.name: check.blocking for check in check_specs(defs, key)}
    assert checks == {"unique_id": True, "not_null_id": False}
    said = [check.description for check in check_specs(defs, key)]
    place = "models/staging/stg_flights.sql:6"
    assert said == [f"`{kind}` of `id`, declared in {place}" for kind in ("unique", "not_null")]


def check_specs(defs: dg.Definitions, key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [
        s
        for a in defs.assets or []
        if isinstance(a, dg.AssetsDefinition)
        for s in a.check_specs
        if s.asset_key == key
    ]


def test_dependencies_and_external_sources(project: Project) -> None:
    graph = load_project(project.root).resolve_asset_graph()
    parents = {
        "/".join(node.key.path): {"/".join(parent.path) for parent in node.parent_keys}
        for node in graph.asset_nodes
    }
    assert parents == {
        "raw/flights": set(),
        "staging/stg_flights": {"raw/flights"},
        "marts/total": {"staging/stg_flights"},
        "marts/forecast": {"marts/total"},
        "scripts/tell": {"marts/forecast"},
        "seeds/names": set(),
    }
    source = graph.get(dg.AssetKey(["raw", "flights"]))
    assert not source.is_materializable
    assert source.is_external


def test_jobs_schedules_and_the_default_executor(project: Project) -> None:
    repository = load_project(project.root).get_repository_def()
    assert repository.get_job("test").executor_def.name == "models_executor"
    assert repository.get_schedule_def("daily").cron_schedule == "0 6 * * *"


@pytest.mark.parametrize("selection", ["+models/marts", "+marts.a", "not staging", "raw.o+", "o+"])
def test_a_job_leaves_out_the_sources_that_it_selects(tmp_path: Path, selection: str) -> None:
    files = {
        "dagster_models.yaml": f"name: p\njobs: {{j: {{selection: '{selection}'}}}}\n",
        "models/sources.yaml": "sources: [{name: raw, tables: [{name: o}]}]",
        "models/marts/a.sql": "select * from raw.o",
        "models/staging/s.sql": "select 1 as x",
    }
    defs = load_project(write_project(tmp_path, files))
    job = defs.resolve_job_def("j")
    assert job.asset_layer.selected_asset_keys == {dg.AssetKey(["marts", "a"])}


def test_a_translator_changes_how_assets_look(project: Project) -> None:
    class Shouting(ModelsTranslator):
        def get_asset_spec(self, *args: Any) -> dg.AssetSpec:
            return super().get_asset_spec(*args).replace_attributes(group_name="all")

    graph = load_project(project.root, translator=Shouting()).resolve_asset_graph()
    assert {node.group_name for node in graph.asset_nodes} == {"all"}


def test_what_dagster_refuses_is_told_in_one_report(tmp_path: Path) -> None:
    files = {"models/a.sql": "select 1 as n"}
    settings = (
        "jobs:\n"
        "  good: {selection: 'key:\"main/a\"'}\n"
        "  bad: {selection: '((('}\n"
        "  typo: {selection: 'tag:hourlyy'}\n"
        "  name: {selection: main.b}\n"
        "schedules:\n"
        "  never: {job: good, cron: '99 * * * *'}\n"
    )
    project = make_project(tmp_path, files, settings)
    with pytest.raises(ProjectError) as raised:
        load_project(project.root)
    problems = {(p.line, p.column): (p.what, p.fix) for p in raised.value.problems}
    places = {what: at for at, (what, _) in problems.items()}
    assert len(problems) == 4
    lines = (Path(project.root) / "dagster_models.yaml").read_text().splitlines()
    for said, what in {
        "((": "job bad",
        "hourlyy": "job typo",
        "main.b}": "job name",
        "99": "never",
    }.items():
        line, column = next(at for told, at in places.items() if what in told)
        assert said in lines[line - 1][column - 1 :]
    assert any("did you mean main.a" in what for what, _ in problems.values()), problems


def test_a_job_of_the_callers_own_assets_is_a_warning_of_check_and_right_in_a_load(
    tmp_path: Path,
) -> None:
    @dg.asset(key_prefix="raw")
    def orders() -> None: ...

    settings = "jobs: {theirs: {selection: 'key:\"raw/orders\"'}}\n"
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n"}, settings)
    assert [problem.severity for problem in refusals(load(project.root))] == ["warning"]
    definitions = load_project(project.root, assets=[orders])
    selected = definitions.resolve_job_def("theirs").asset_layer.selected_asset_keys
    assert selected == {orders.key}


def test_two_projects_in_one_code_location(tmp_path: Path) -> None:
    first = make_project(tmp_path / "1", {"models/a.sql": "select 1 as n"})
    second = make_project(tmp_path / "2", {"models/b.sql": "select 2 as n"}, "jobs: {other: {}}\n")
    merged = dg.Definitions.merge(
        load_project(first.root), load_project(second.root, resource_key="other_warehouse")
    )
    repository = merged.get_repository_def()
    assert set(repository.get_top_level_resources()) == {"warehouse", "other_warehouse"}
    for job, project, table in (("test", first, "main.a"), ("other", second, "main.b")):
        assert merged.resolve_job_def(job).execute_in_process().success
        assert project.tables() == {table}


def test_step_keys_are_safe_and_distinct() -> None:
    assert node_name(Key("marts", "total")) == "marts__total"
    odd = {node_name(Key("marts", name)) for name in ("a-b", "a b", "a_b", "ä_b")}
    assert len(odd) == 4
    alike = [Key("m", "a__b"), Key("m__a", "b"), Key("m_", "b"), Key("m", "_b"), Key("m__a_", "b")]
    assert len({node_name(key) for key in alike}) == len(alike)
    assert node_name(Key("staging", "stg_shop__orders")) == "staging__stg_shop__orders"
    assert all(name.isascii() and name.isidentifier() for name in odd)


HEADER = """/* @model
tags: [nightly]
pool: few
priority: 3
retries: {max_retries: 2, delay: 1}
description: Its flights.
columns:
  id: {checks: [unique, {not_null: {severity: warn}}]}
*/
"""


class Stored(ModelsTranslator):
    """What a user may add to a spec: here it is kept by an I/O manager."""

    def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
        return super().get_asset_spec(*arguments).with_io_manager_key("store")


@pytest.mark.parametrize("translator", [ModelsTranslator(), Stored()])
def test_assets_are_what_the_decorator_makes(
    translator: ModelsTranslator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        **FILES,
        "models/marts/many.sql": f"{HEADER}select id from stg_flights join total on true",
        "models/marts/more.sql": "select * from many, raw.flights",
    }
    project = make_project(tmp_path, files, JOBS)

    def snapshot() -> tuple[Any, dict[Any, list[Any]]]:
        defs = load_project(project.root, translator=translator)
        defs = dg.Definitions.merge(defs, dg.Definitions(resources={"store": dg.mem_io_manager}))
        job = defs.get_repository_def().get_job("test")
        told: dict[Any, list[Any]] = {}
        for made in defs.get_repository_def().asset_graph.assets_defs:
            of_asset = [made.keys_by_input_name, made.keys_by_output_name, list(made.specs)]
            if made.is_executable:
                of_asset += [made.check_specs_by_output_name, made.op.retry_policy, made.op.pool]
                of_asset += [made.op.is_from_decorator(), made.op.positional_inputs]
            told[tuple(made.keys)] = of_asset
        return job.get_job_snapshot(), told

    ours = snapshot()
    monkeypatch.setattr("dagster_models._dagster.assets._needs_the_decorator", lambda spec: True)
    assert snapshot() == ours


def test_what_is_no_asset_is_refused_with_what_to_do(tmp_path: Path) -> None:
    root = make_project(tmp_path, {"models/a.sql": "select 1 as n"}).root
    wrong: list[Any] = [[dg.AssetSpec("b")], object()]
    for other in wrong:
        with pytest.raises(TypeError, match=r"takes assets and asset specs.*Definitions.merge"):
            load_project(root, assets=[other])


class Prefixed(ModelsTranslator):
    """Other keys for everything, also for what is upstream of it."""

    def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(*arguments)
        return spec.replace_attributes(key=dg.AssetKey(["pre", *spec.key.path]))


KEYED = {
    "models/sources.yaml": "sources: [{name: raw, tables: [t]}]",
    "models/a.sql": "/* @model columns: {id: {checks: [not_null]}} */ select 1 as id",
    "models/b.sql": "select id + 1 as n from a",
    "models/c.sql": "select t.id from raw.t",
    "checks/few.sql": "/* @check model: b */ select * from b join a on a.id = b.n",
}


def test_deps_lineage_and_checks_follow_the_keys_of_a_translator(tmp_path: Path) -> None:
    definitions = load_project(make_project(tmp_path, KEYED).root, translator=Prefixed())
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    main = {name: dg.AssetKey(["pre", "main", name]) for name in "abc"}
    source = dg.AssetKey(["pre", "raw", "t"])
    assert set(specs) == {*main.values(), source}
    assert [dep.asset_key for dep in specs[main["b"]].deps] == [main["a"]]
    assert [dep.asset_key for dep in specs[main["c"]].deps] == [source]
    lineage = specs[main["b"]].metadata["dagster/column_lineage"]
    assert lineage.deps_by_column == {"n": [dg.TableColumnDep(main["a"], "id")]}
    models = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    result = dg.materialize(
        models,
        selection=dg.AssetSelection.assets(main["a"], main["b"]),
        resources=definitions.resources,
    )
    assert result.success
    made = {event.asset_key: event for event in result.get_asset_materialization_events()}
    assert list(made) == [main["a"], main["b"]]
    shown = made[main["b"]].materialization.metadata["dagster/column_lineage"].value
    assert shown == lineage
    checked = {(e.asset_key, e.check_name) for e in result.get_asset_check_evaluations()}
    assert checked == {(main["a"], "not_null_id"), (main["b"], "few")}


def test_deps_that_a_translator_writes_itself_stay(tmp_path: Path) -> None:
    class Swapped(ModelsTranslator):
        """`a` and `b` change places, and the deps say so."""

        def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(*arguments)
            new = {"a": "b", "b": "a"}

            def other(key: dg.AssetKey) -> dg.AssetKey:
                return dg.AssetKey([*key.path[:-1], new.get(key.path[-1], key.path[-1])])

            deps = [*(other(dep.asset_key) for dep in spec.deps), *(["extra"] if spec.deps else [])]
            return spec.replace_attributes(key=other(spec.key), deps=deps)

    definitions = load_project(make_project(tmp_path, KEYED).root, translator=Swapped())
    deps = {
        s.key.path[-1]: [d.asset_key.path[-1] for d in s.deps]
        for s in definitions.resolve_all_asset_specs()
        if s.deps
    }
    assert deps == {"a": ["b", "extra"], "c": ["t", "extra"]}


def test_a_translator_that_gives_a_key_twice(tmp_path: Path) -> None:
    class Bare(ModelsTranslator):
        def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(*arguments)
            return spec.replace_attributes(key=dg.AssetKey(spec.key.path[-1]))

    files = {"models/one/a.sql": "select 1 as id", "models/two/a.sql": "select 1 as id"}
    with pytest.raises(ProjectError) as raised:
        load_project(make_project(tmp_path, files).root, translator=Bare())
    [problem] = raised.value.problems
    assert problem.path == "models/two/a.sql"
    assert "gives one.a and two.a the same asset key a" in problem.what
