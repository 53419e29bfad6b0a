"""ModelsComponent: what a defs.yaml says of a project, and what stands beside it."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster.components.testing.utils import DefsFolderSandbox, create_defs_folder_sandbox

from dagster_models import ModelsComponent, models_executor
from project_cases import without_kinds

#: Dagster's own, of components.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`parse_obj_as` is deprecated",
    "ignore:.* is currently in beta",
    "ignore:.* is currently in preview",
)

SHOP = {
    "dagster_models.yaml": (
        "name: shop\n"
        "targets:\n"
        "  dev: {type: duckdb, path: target/dev.duckdb}\n"
        "  prod: {type: duckdb, path: target/prod.duckdb}\n"
        "target: dev\n"
        "jobs: {shop: {selection: '*'}, pythons: {selection: kind:python}}\n"
    ),
    "models/sources.yaml": "sources: [{name: raw, tables: [{name: orders}, {name: people}]}]\n",
    "models/staging/stg_orders.sql": "select * from raw.orders",
    "models/marts/orders.sql": (
        "/* @model\nmaterialized: table\ntags: {tier: gold}\nmeta: {team: sales}\n*/\n"
        "select * from stg_orders"
    ),
    "models/marts/people.py": "def model(warehouse):\n    return warehouse.sql('select 1 as n')\n",
}
INGEST = """
import dagster as dg

@dg.asset(metadata={"dagster/table_name": "raw.orders"})
def orders_from_the_shop(): ...
"""


@pytest.fixture
def sandbox() -> Iterator[DefsFolderSandbox]:
    with create_defs_folder_sandbox() as found:
        yield found


def put(sandbox: DefsFolderSandbox, folder: str, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = sandbox.defs_folder_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")


def defs_yaml(attributes: str = "{}", rest: str = "") -> dict[str, str]:
    head = "type: dagster_models.ModelsComponent\nattributes:"
    inside = textwrap.indent(textwrap.dedent(attributes).strip("\n"), "  ")
    return {"defs.yaml": f"{head}\n{inside}\n{textwrap.dedent(rest)}"}


@contextlib.contextmanager
def all_of(sandbox: DefsFolderSandbox) -> Iterator[dg.Definitions]:
    with sandbox.build_all_defs() as definitions:
        dg.Definitions.validate_loadable(definitions)
        yield definitions


def node(definitions: dg.Definitions, key: str) -> Any:
    return definitions.resolve_asset_graph().get(dg.AssetKey(key.split("/")))


def parents(definitions: dg.Definitions, key: str) -> set[str]:
    return {parent.to_user_string() for parent in node(definitions, key).parent_keys}


def why(sandbox: DefsFolderSandbox) -> str:
    """All that is said of an error, as `dg check defs` prints it."""
    with pytest.raises(Exception, match="rror") as caught, all_of(sandbox):
        pass
    said: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        said.append(str(error))
        error = error.__cause__
    return "\n".join(said)


# --- one project ----------------------------------------------------------------------------------


def test_a_project_in_the_folder_of_the_component(sandbox: DefsFolderSandbox) -> None:
    put(sandbox, "shop", {**SHOP, **defs_yaml()})
    with all_of(sandbox) as definitions:
        assert parents(definitions, "marts/orders") == {"staging/stg_orders"}
        assert node(definitions, "staging/stg_orders").kinds == {"sql", "duckdb", "view"}
        assert definitions.resolve_job_def("shop").executor_def.name == models_executor.name
        every = definitions.resolve_implicit_global_asset_job_def()
        assert every.executor_def is models_executor
        code = node(definitions, "marts/orders").metadata["dagster/code_references"]
        labels = [reference.source for reference in code.code_references]
        assert labels[0].endswith("models/marts/orders.sql:1")
        assert "defs.yaml" in labels[1]


def test_translation_is_a_template_and_what_reads_an_asset_follows_its_key(
    sandbox: DefsFolderSandbox,
) -> None:
    translation = """
    translation:
      key: "dwh/{{ node.schema }}/{{ node.name }}"
      group_name: "{{ node.meta.team or 'rest' }}"
      description: "{{ node.kind }} in {{ node.path }}"
      tags: {domain: "{{ node.schema }}"}
      owners: ["team:{{ node.schema }}"]
      kinds: ["{{ node.materialized }}"]
      metadata: {tier: "{{ node.tags.tier or 'none' }}"}
      automation_condition: "{{ dg.AutomationCondition.eager() }}"
    """
    rest = """
    post_processing:
      assets:
        - target: group:sales
          attributes: {tags: {seen: "yes"}}
    """
    put(sandbox, "shop", {**SHOP, **defs_yaml(translation, rest)})
    with all_of(sandbox) as definitions:
        assert parents(definitions, "dwh/staging/stg_orders") == {"dwh/raw/orders"}
        orders = node(definitions, "dwh/marts/orders")
        assert (orders.group_name, orders.owners) == ("sales", ["team:marts"])
        assert orders.description == "sql in models/marts/orders.sql"
        assert without_kinds(orders.tags) == {"tier": "gold", "domain": "marts", "seen": "yes"}
        assert orders.kinds == {"table"}
        assert orders.metadata["tier"] == "gold"
        assert orders.automation_condition == dg.AutomationCondition.eager()
        assert node(definitions, "dwh/raw/people").group_name == "rest"
        assert "seen" not in node(definitions, "dwh/raw/people").tags


def test_a_class_of_ones_own_decides_in_python(sandbox: DefsFolderSandbox) -> None:
    mine = """
    import dagster as dg
    from dagster_models import ModelsComponent

    class Mine(ModelsComponent):
        def get_asset_spec(self, item, project, relation):
            spec = super().get_asset_spec(item, project, relation)
            return spec.replace_attributes(group_name="mine")

    @dg.component_instance
    def load(context: dg.ComponentLoadContext) -> Mine:
        return Mine(project="../../../../elsewhere")
    """
    put(sandbox, "shop", {"component.py": mine})
    put(sandbox, "../../../elsewhere", SHOP)
    with all_of(sandbox) as definitions:
        assert node(definitions, "marts/orders").group_name == "mine"


def test_select_and_exclude(sandbox: DefsFolderSandbox) -> None:
    attributes = "select: marts\nexclude: kind:python\ntarget: prod\nkey_prefix: shop"
    put(sandbox, "shop", {**SHOP, **defs_yaml(attributes)})
    with all_of(sandbox) as definitions:
        graph = definitions.resolve_asset_graph()
        assert graph.executable_asset_keys == {dg.AssetKey(["shop", "marts", "orders"])}
        # What it reads is there as the name of an asset, and nothing of what nobody reads.
        assert len(graph.get_all_asset_keys()) == 2
        job = definitions.resolve_job_def("shop__shop").asset_layer.selected_asset_keys
        assert job == graph.executable_asset_keys
        assert "shop_warehouse" in (definitions.resources or {})
        resource = (definitions.resources or {})["shop_warehouse"]
        assert resource.settings["path"].endswith("target/prod.duckdb")


def test_the_environment_chooses_before_the_attribute(
    sandbox: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_MODELS_TARGET", "dev")
    put(sandbox, "shop", {**SHOP, **defs_yaml("target: prod")})
    with all_of(sandbox) as definitions:
        resource = (definitions.resources or {})["warehouse"]
        assert resource.settings["path"].endswith("target/dev.duckdb")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (
            "target: prd",
            "defs/shop/defs.yaml:3:3: error: the project has no target `prd`\n    "
            "Did you mean `prod`?",
        ),
        ("select: mart", "defs/shop/defs.yaml:3:3: error: `mart` matches nothing"),
        ("project: shp", "defs/shop/defs.yaml:3:3: error: there is no folder "),
        (
            "translation: {group_name: '{{ node.nam }}'}",
            "there is no `node.nam`. Did you mean `name`?",
        ),
        ("translation: {group: x}", "translation"),
        (
            "executor: model",
            "defs/shop/defs.yaml:3:3: error: there is no executor `model`\n    "
            "Did you mean `models`?",
        ),
    ],
)
def test_wrong_values_name_their_place(
    attributes: str, said: str, sandbox: DefsFolderSandbox
) -> None:
    put(sandbox, "shop", {**SHOP, **defs_yaml(attributes)})
    assert said in why(sandbox)


# --- beside others --------------------------------------------------------------------------------


def test_assets_of_other_components_are_joined_by_table_name(sandbox: DefsFolderSandbox) -> None:
    put(sandbox, "shop", {**SHOP, **defs_yaml()})
    put(sandbox, "ingest", {"orders.py": INGEST})
    with all_of(sandbox) as definitions:
        assert parents(definitions, "staging/stg_orders") == {"orders_from_the_shop"}
        assert not definitions.resolve_asset_graph().has(dg.AssetKey(["raw", "orders"]))
        # The project's jobs have its own assets, and the location has each asset once.
        assert dg.AssetKey("orders_from_the_shop") not in (
            definitions.resolve_job_def("shop").asset_layer.selected_asset_keys
        )


def test_projects_read_each_other(
    sandbox: DefsFolderSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Also if unknown tables are errors: each is loaded without the other first, and then again."""
    one = {
        "dagster_models.yaml": "name: one\nunknown_references: error\nload: strict\n",
        "models/core/people.sql": "select 1 as id",
        "models/core/report.sql": "select * from hr.salaries",
    }
    two = {
        "dagster_models.yaml": "name: two\n",
        "models/hr/salaries.sql": "select id from core.people",
    }
    put(sandbox, "one", {**one, **defs_yaml("key_prefix: one")})
    put(sandbox, "two", {**two, **defs_yaml("{}")})
    with all_of(sandbox) as definitions:
        assert parents(definitions, "hr/salaries") == {"one/core/people"}
        assert parents(definitions, "one/core/report") == {"hr/salaries"}
    assert "is not a model" not in caplog.text


def test_projects_without_prefixes_and_second_executors_are_refused(
    sandbox: DefsFolderSandbox,
) -> None:
    put(sandbox, "one", {**SHOP, **defs_yaml("project: .")})
    put(sandbox, "two", {**SHOP, **defs_yaml("project: .")})
    said = why(sandbox)
    assert "this project and that of" in said
    assert "Give one of them a `key_prefix`" in said


def test_an_executor_of_another_component(sandbox: DefsFolderSandbox) -> None:
    theirs = "import dagster as dg\nd = dg.Definitions(executor=dg.in_process_executor)\n"
    put(sandbox, "shop", {**SHOP, **defs_yaml("project: .")})
    put(sandbox, "own", {"executor.py": theirs})
    assert "defs/own has an executor" in why(sandbox)
    put(sandbox, "shop", defs_yaml("executor: location"))
    with all_of(sandbox) as definitions:
        assert definitions.executor is dg.in_process_executor
        assert definitions.resolve_job_def("shop").executor_def.name == models_executor.name


def test_a_neighbour_may_ask_for_the_assets_of_the_project(sandbox: DefsFolderSandbox) -> None:
    asks = """
    import dagster as dg

    @dg.definitions
    def defs(context: dg.ComponentLoadContext) -> dg.Definitions:
        theirs = context.build_defs("shop")
        keys = [asset.key for asset in theirs.assets if asset.key.path[-1] == "people"]

        @dg.asset(deps=keys, metadata={"dagster/table_name": "raw.orders"})
        def orders(): ...

        return dg.Definitions(assets=[orders])
    """
    put(sandbox, "shop", {**SHOP, **defs_yaml()})
    put(sandbox, "asks", {"orders.py": asks})
    with all_of(sandbox) as definitions:
        assert parents(definitions, "orders") >= {"marts/people"}
        assert parents(definitions, "staging/stg_orders") == {"orders"}


def test_a_component_without_a_tree(tmp_path: Path) -> None:
    for name, text in SHOP.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    definitions = dg.build_defs_for_component(ModelsComponent(project=str(tmp_path)))
    assert node(definitions, "marts/orders").kinds == {"sql", "duckdb", "table"}
