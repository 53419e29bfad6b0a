"""dbt projects for tests: manifests as `dbt parse` writes them, without dbt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster_models.dbt.project.interfaces import NotRendered
from dagster_models.dbt.project.manifest import Manifest, read_manifest

_SCHEMA = "https://schemas.getdbt.com/dbt/manifest/v{}.json"
_CONFIG = {"enabled": True, "lookback": 1, "on_schema_change": "ignore", "tags": [], "meta": {}}
_OF_TESTS = {"severity": "ERROR", "fail_calc": "count(*)", "warn_if": "!= 0", "error_if": "!= 0"}


def step(name: str, *reads: str, kind: str = "model", **given: Any) -> dict[str, Any]:
    """A model, seed or snapshot; *reads* are unique_ids. ``config`` is added to dbt's defaults."""
    config = {"materialized": "view" if kind == "model" else kind, **given.pop("config", {})}
    return {
        "unique_id": f"{kind}.shop.{name}",
        "resource_type": kind,
        "package_name": "shop",
        "name": name,
        "alias": name,
        "path": f"marts/{name}.sql",
        "original_file_path": f"models/marts/{name}.sql",
        "database": "dev",
        "schema": "marts",
        "relation_name": f'"dev"."marts"."{name}"',
        "depends_on": {"nodes": list(reads), "macros": []},
        "config": {**_CONFIG, **config},
        **given,
    }


def dbt_test(of: str, word: str, column: str | None = None, **given: Any) -> dict[str, Any]:
    """A generic test of the step or source *of*, with its arguments and dbt's ``config``. ``reads``
    are the other unique_ids that it reads, ``name`` is one that somebody has given."""
    namespace, _, test = word.rpartition(".")
    config, reads = given.pop("config", {}), given.pop("reads", ())
    own = of.rsplit(".", 1)[-1]
    prefix = f"{namespace}_" if namespace else ""
    name = given.pop("name", f"{prefix}{test}_{own}_{column or ''}")
    macro = f"macro.{given.pop('package', namespace or 'dbt')}.test_{test}"
    arguments = {**({"column_name": column} if column else {}), **given}
    is_source = of.startswith("source.")
    called = f"source('{of.split('.')[-2]}', '{own}')" if is_source else f"ref('{own}')"
    return {
        "unique_id": f"test.shop.{name}.{len(name):04d}",
        "resource_type": "test",
        "package_name": "shop",
        "name": name,
        "alias": name,
        "original_file_path": "models/schema.yml",
        "schema": "audit",
        "depends_on": {"nodes": [*reads, of], "macros": [macro]},
        "config": {**_CONFIG, **_OF_TESTS, **config},
        "column_name": column,
        "attached_node": None if is_source else of,
        "test_metadata": {
            "name": test,
            "namespace": namespace or None,
            "kwargs": {**arguments, "model": f"{{{{ get_where_subquery({called}) }}}}"},
        },
    }


def manifest_of(folder: Path, *nodes: Mapping[str, Any], **given: Any) -> Manifest:
    """The manifest of these nodes. ``project``: the text of dbt_project.yml; ``adapter``;
    ``version`` of the schema; ``macros``: their texts by their unique_ids; all else is a part of
    the manifest."""
    adapter, schema = given.pop("adapter", "duckdb"), _SCHEMA.format(given.pop("version", 12))
    macros = given.pop("macros", {})
    (folder / "target").mkdir(parents=True, exist_ok=True)
    (folder / "dbt_project.yml").write_text(given.pop("project", "name: shop\nprofile: shop\n"))
    content = {
        "metadata": {"dbt_schema_version": schema, "adapter_type": adapter},
        "nodes": {node["unique_id"]: node for node in nodes},
        "macros": {name: _macro(name, text) for name, text in macros.items()},
        **given,
    }
    (folder / "target/manifest.json").write_text(json.dumps(content))
    return read_manifest(folder)


def _macro(unique_id: str, text: str) -> dict[str, Any]:
    _, package, name = unique_id.split(".")
    return {
        "unique_id": unique_id,
        "package_name": package,
        "name": name,
        "original_file_path": "macros/m.sql",
        "macro_sql": text,
    }


class PlainNames:
    """Each node under its own name. ``missing`` are not imported."""

    def __init__(self, manifest: Manifest, *missing: str, **same: str) -> None:
        self.manifest, self.missing, self.same = manifest, missing, same

    def meant(self, unique_id: str) -> str:
        return self.same.get(unique_id, unique_id)

    def name(self, unique_id: str) -> str:
        if unique_id in self.missing:
            return ""
        source = self.manifest.sources.get(unique_id)
        if source is not None:
            return f"{source.source_name}.{source.name}"
        node = self.manifest.nodes.get(unique_id)
        return f"{node.relation.schema}.{node.name}" if node else ""


class Texts:
    """SQL that is known by the unique_id of a test, or by the text of a hook."""

    def __init__(self, **texts: str) -> None:
        self.texts = texts

    def of_test(self, unique_id: str) -> str | NotRendered:
        return self.texts.get(unique_id.split(".")[2], NotRendered("it needs the warehouse"))

    def of_text(self, unique_id: str, text: str) -> str | NotRendered:
        return self.texts.get(text, NotRendered("it needs the warehouse"))
