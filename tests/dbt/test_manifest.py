"""manifest.json as values: what is there, and what is reported of an entry that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagster_models.dbt.project.entry import BadDbtFile
from dagster_models.dbt.project.manifest import Manifest, read_manifest
from dbt_cases import manifest_of, step


def read(folder: Path, version: int = 12, **values: Any) -> Manifest:
    """The manifest of a project `shop` with one model, whose entry has these values."""
    columns = {"id": {"name": "id", "description": "its number", "data_type": None}}
    orders = step("orders", alias="orders_v2", columns=columns, config={"materialized": "table"})
    project = "name: shop\nvars: {days: 3}"
    return manifest_of(folder, {**orders, **values}, version=version, project=project)


@pytest.mark.parametrize("version", [9, 10, 11, 12])
def test_a_model_is_read_from_each_known_schema(tmp_path: Path, version: int) -> None:
    manifest = read(tmp_path, version)
    node = manifest.nodes["model.shop.orders"]
    assert (node.relation.database, node.relation.schema) == ("dev", "marts")
    assert (node.relation.identifier, node.materialized) == ("orders_v2", "table")
    assert node.columns[0].description == "its number"
    assert manifest.projects["shop"].variables == {"days": 3}


def test_a_schema_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDbtFile, match=r"manifest/v8.json'; these are known: v9 of dbt 1.5"):
        read(tmp_path, 8)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("name", None, r"nodes\.model\.shop\.orders\.name is missing; expected a text"),
        ("config", "table", r"orders\.config is 'table'; expected a mapping"),
        ("tags", [1], r"orders\.tags is '\[1\]'; expected a list of texts"),
    ],
)
def test_an_entry_that_is_not_as_expected_is_named(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    with pytest.raises(BadDbtFile, match=rf"target/manifest\.json: .*{message}"):
        read(tmp_path, **{key: value})


def test_a_project_without_a_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadDbtFile, match=r"no dbt project: it has no dbt_project\.yml"):
        read_manifest(tmp_path)
    (tmp_path / "dbt_project.yml").write_text("name: shop")
    with pytest.raises(BadDbtFile, match="Run `dbt parse` in"):
        read_manifest(tmp_path)


def test_a_manifest_that_is_no_json_is_named(tmp_path: Path) -> None:
    read(tmp_path)
    (tmp_path / "target/manifest.json").write_text('{"nodes": ')
    with pytest.raises(BadDbtFile, match=r"manifest\.json: not JSON: Expecting value: line 1"):
        read_manifest(tmp_path)


def test_packages_have_variables_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "dbt_packages/utils").mkdir(parents=True)
    (tmp_path / "dbt_packages/utils/dbt_project.yml").write_text(
        "name: utils\nvars: {a: 1}\ndispatch: [{macro_namespace: dbt, search_order: [utils, dbt]}]"
    )
    utils = read(tmp_path).projects["utils"]
    assert (utils.variables, utils.dispatch) == ({"a": 1}, {"dbt": ("utils", "dbt")})
