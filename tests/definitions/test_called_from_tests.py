"""What users' own tests do with assets: call them, give them resources, translate them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_models import (
    ModelsTranslator,
    ProjectError,
    WarehouseError,
    WarehouseResource,
    load_project,
)
from running import Project, make_project

FILES = {
    "models/a.sql": "/* @model\ncolumns: {n: {checks: [unique]}}\n*/\nselect 1 as n",
    "models/b.py": "def model(warehouse):\n"
    "    return warehouse.sql('select n + 1 as n from a').df()\n",
    "models/wrong.sql": "/* @model\nretries: 2\n*/\nselect\n    cast('x' as int) as n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path, FILES)


def assets_of(project: Project, **options: Any) -> dict[str, dg.AssetsDefinition]:
    assets: Any = load_project(project.root, **options).assets
    return {asset.key.path[-1]: asset for asset in assets}


# --- direct calls ---------------------------------------------------------------------------------


def test_an_asset_can_be_called_directly(project: Project) -> None:
    assets = assets_of(project)
    check, result = assets["a"](dg.build_asset_context())
    assert (check.check_name, check.passed) == ("unique_n", True)
    assert result.asset_key == dg.AssetKey(["main", "a"])
    assert result.metadata["dagster/row_count"] == 1
    (result,) = assets["b"](dg.build_asset_context())
    assert result.metadata["dagster/table_name"] == "main.b"
    assert project.rows("from main.b") == [(2,)]


def test_a_direct_call_may_be_repeated_in_one_context(project: Project) -> None:
    context = dg.build_asset_context()
    for _ in range(2):
        assert len(list(assets_of(project)["a"](context))) == 2
    assert project.rows("from main.a") == [(1,)]


def test_a_direct_call_that_fails_raises_with_the_place(project: Project) -> None:
    with pytest.raises(dg.Failure, match=r"models/wrong.sql:5: .*x"):
        list(assets_of(project)["wrong"](dg.build_asset_context()))
    assert project.tables() == set()


# --- the warehouse resource -----------------------------------------------------------------------


def elsewhere(project: Project) -> WarehouseResource:
    return WarehouseResource(settings={"path": str(project.root / "elsewhere.duckdb")})


REFUSED = "the resource `{key}` leads to another warehouse than the target `dev` of test"


def test_another_warehouse_is_refused(project: Project) -> None:
    asset = assets_of(project)["a"]
    resources = {"warehouse": elsewhere(project)}
    message = REFUSED.format(key="warehouse")
    with pytest.raises(WarehouseError, match=message):
        dg.materialize([asset], resources=resources)
    with pytest.raises(WarehouseError, match=message):
        list(asset(dg.build_asset_context(resources=resources)))
    assert not project.database.exists()


@pytest.mark.parametrize(
    "given",
    [object(), dg.ResourceDefinition.mock_resource(), WarehouseResource.configure_at_launch()],
)
def test_what_is_not_the_projects_warehouse_is_refused(given: object, project: Project) -> None:
    asset, elsewhere = assets_of(project)["a"], {"settings": {"path": "elsewhere.duckdb"}}
    config = {"resources": {"warehouse": {"config": elsewhere}}}
    at_launch = not isinstance(given, dg.ResourceDefinition) and type(given) is not object
    with pytest.raises(WarehouseError, match=REFUSED.format(key="warehouse")):
        dg.materialize(
            [asset], resources={"warehouse": given}, run_config=config if at_launch else None
        )
    assert not project.database.exists()


def test_the_key_of_the_resource_counts(project: Project) -> None:
    asset = assets_of(project, key_prefix="us")["a"]
    assert dg.materialize([asset], resources={"warehouse": elsewhere(project)}).success
    with pytest.raises(WarehouseError, match=REFUSED.format(key="us_warehouse")):
        dg.materialize([asset], resources={"us_warehouse": elsewhere(project)})


@pytest.mark.parametrize("target", [None, "second"])
def test_the_projects_own_resource_is_right_on_each_target(
    target: str | None, tmp_path: Path
) -> None:
    project = make_project(tmp_path, FILES)
    settings = (project.root / "dagster_models.yaml").read_text()
    both = settings.replace("threads: 2}", "threads: 2}, second: {type: duckdb, path: 2.duckdb}")
    project.write({"dagster_models.yaml": both})
    loaded = load_project(project.root)
    asset = assets_of(project)["a"]
    tags = {"dagster_models/target": target} if target else {}
    assert dg.materialize([asset], resources=dict(loaded.resources or {}), tags=tags).success
    assert (project.root / "2.duckdb").exists() == (target is not None)


REPLACED = """
from pathlib import Path
import dagster as dg
from dagster_models import WarehouseResource, load_project
here = Path(__file__).parent
other = WarehouseResource(settings={"path": str(here / "elsewhere.duckdb")})

def replaced(loaded):
    return dg.Definitions(loaded.assets, jobs=loaded.jobs, resources={"warehouse": other})

defs = replaced(load_project(here))
"""


@pytest.mark.slow
def test_another_warehouse_is_refused_before_a_run_begins(project: Project) -> None:
    project.write({"definitions.py": REPLACED})
    report = project.run()
    assert (report.code, project.status()) == (1, "FAILURE")
    assert REFUSED.format(key="warehouse") in report.stderr
    assert not report.of_type("STEP_START")
    assert not project.database.exists()


# --- a translator that partitions -----------------------------------------------------------------


class Partitioned(ModelsTranslator):
    def get_asset_spec(self, *arguments: Any) -> dg.AssetSpec:
        spec = super().get_asset_spec(*arguments)
        return spec.replace_attributes(partitions_def=dg.DailyPartitionsDefinition("2025-01-01"))


def test_a_translator_cannot_partition_a_model(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"models/a.sql": "select 1 as n", "models/b.sql": "from a"})
    with pytest.raises(ProjectError) as raised:
        load_project(project.root, translator=Partitioned())
    assert [problem.path for problem in raised.value.problems] == ["models/a.sql", "models/b.sql"]
    assert "a run of one partition would build all of it" in raised.value.problems[0].what


def test_a_model_may_read_a_partitioned_source(tmp_path: Path) -> None:
    class Source(Partitioned):
        def get_asset_spec(self, item: Any, *arguments: Any) -> dg.AssetSpec:
            kind = Partitioned if hasattr(item, "meta") else ModelsTranslator
            return kind.get_asset_spec(self, item, *arguments)

    files = {
        "models/sources.yaml": "sources: [{name: raw, tables: [orders]}]",
        "models/a.sql": "select 1 as n from raw.orders",
    }
    loaded = load_project(make_project(tmp_path, files).root, translator=Source())
    dg.Definitions.validate_loadable(loaded)
    graph = loaded.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["raw", "orders"])).partitions_def is not None
    assert graph.get(dg.AssetKey(["main", "a"])).partitions_def is None
