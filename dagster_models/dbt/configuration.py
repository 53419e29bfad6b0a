"""A model's configuration in dbt -> the keys of our header.

dbt writes all of its keys into the manifest, most of them with their default. A key that says
something and means nothing here is left out with a remark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster_models.dbt import hooks, incremental, snapshots
from dagster_models.dbt.labels import label_keys
from dagster_models.dbt.manifest import DbtNode, Manifest
from dagster_models.dbt.remarks import Remark, Weight
from dagster_models.dbt.rendering import Rendering
from dagster_models.dbt.saying import Saying

#: dbt's materializations -> ours, where a build makes the same rows.
_KINDS = {
    "view": "view",
    "table": "table",
    "incremental": "incremental",
    "ephemeral": "ephemeral",
    "snapshot": "snapshot",
    "materialized_view": "table",
    "dynamic_table": "table",
    "external": "table",
}
#: Read elsewhere (names, labels, seeds), or about dbt's own work alone.
_ELSEWHERE = {
    *("enabled", "alias", "schema", "database", "tags", "meta", "group", "access", "materialized"),
    *("static_analysis", "docs", "packages", "quoting", "column_types", "delimiter"),
    *("quote_columns", "persist_docs", "grants", "indexes", "contract", "on_configuration_change"),
    *("latest_version_pointer", "target_schema", "target_database", "fast"),
    *hooks.KEYS,
}
#: Keys whose default says nothing.
_DEFAULTS: Mapping[str, Any] = {"lookback": 1, "on_schema_change": "ignore"}
#: Keys whose loss can change the rows, or keep a build from working.
_ABOUT_ROWS = ("sql_header", "location", "options")


@dataclass(frozen=True, slots=True)
class DbtHeader:
    """What a header says. ``refused``: why the model cannot be built here as dbt builds it, so that
    it is to be written as one that is disabled. ``partitions`` are sets for dagster_models.yaml."""

    values: Mapping[str, Any]
    remarks: tuple[Remark, ...] = ()
    refused: tuple[str, ...] = ()
    partitions: Mapping[str, Any] = field(default_factory=dict)


def header_of(node: DbtNode, manifest: Manifest, rendering: Rendering, dialect: str) -> DbtHeader:
    """The header of a model or snapshot, without its names (``schema``, ``alias``) and checks."""
    said = Saying(node)
    kind = _KINDS.get(node.materialized)
    if kind is None:
        said.refused.append(f"`materialized: {node.materialized}` is not known here")
    else:
        said.values["materialized"] = kind
    if kind is not None and kind != node.materialized:
        what = f"`materialized: {node.materialized}` is a table, which each build replaces"
        said.remark(what, Weight.DIFFERS if node.materialized == "external" else Weight.NOTE)
    if kind == "incremental":
        incremental.incremental_keys(said, manifest.adapter_type)
    elif kind == "snapshot":
        snapshots.snapshot_keys(said)
    relation_keys(said, manifest, rendering, dialect)
    _contract(said)
    if columns := columns_of(said):
        said.values["columns"] = columns
    read = {"incremental": incremental.KEYS, "snapshot": snapshots.KEYS}.get(kind or "", ())
    remark_unread(said, read)
    return DbtHeader(said.values, tuple(said.remarks), tuple(said.refused), said.partitions)


def relation_keys(said: Saying, manifest: Manifest, rendering: Rendering, dialect: str) -> None:
    """What models and seeds have in common."""
    if description := said.node.description.strip():
        said.values["description"] = description
    label_keys(said, manifest)
    if said.node.materialized == "ephemeral":
        return
    persisted = said.setting("persist_docs") or {}
    if kept := {key: True for key in ("relation", "columns") if persisted.get(key)}:
        said.values["persist_docs"] = kept
    _grants(said, manifest.adapter_type)
    _indexes(said, manifest.adapter_type)
    hooks.hook_keys(said, rendering, dialect)


def _grants(said: Saying, adapter: str) -> None:
    grants = said.setting("grants")
    if grants and adapter == "duckdb":
        said.remark("`grants`: DuckDB has no roles", Weight.NOTE)
    elif grants:
        said.values["grants"] = {
            privilege: [roles] if isinstance(roles, str) else list(roles)
            for privilege, roles in grants.items()
        }


def _indexes(said: Saying, adapter: str) -> None:
    indexes = said.setting("indexes")
    if not indexes:
        return
    if said.values.get("materialized") == "view":
        said.remark("`indexes`: a view has none", Weight.NOTE)
        return
    keys = ("columns", "unique") if adapter == "duckdb" else ("columns", "unique", "type")
    said.values["indexes"] = [
        {key: index[key] for key in keys if index.get(key) not in (None, False)}
        for index in indexes
    ]


def _contract(said: Saying) -> None:
    contract = said.setting("contract") or {}
    if isinstance(contract, Mapping) and contract.get("enforced"):
        said.values["contract"] = True
        if contract.get("alias_types") is False:
            said.remark("`alias_types: false`: types are compared as the warehouse names them")


def columns_of(said: Saying) -> dict[str, dict[str, Any]]:
    """``columns:`` of the header, each with its description and type."""
    found: dict[str, dict[str, Any]] = {}
    for column in said.node.columns:
        own: dict[str, Any] = {}
        if column.description.strip():
            own["description"] = column.description.strip()
        if column.type:
            own["type"] = column.type
        found[column.name] = own
        lost = [key for key in ("meta", "tags") if column.given.get(key)]
        if lost:
            said.remark(f"the {' and '.join(lost)} of the column {column.name}")
    return found


def remark_unread(said: Saying, read: tuple[str, ...]) -> None:
    """A remark for each key that says something, and that nobody has read."""
    for key, value in said.node.config.items():
        if key in _ELSEWHERE or key in read or value in (None, "", [], {}):
            continue
        if _DEFAULTS.get(key) == value or key == "snapshot_meta_column_names":
            continue
        weight = Weight.DIFFERS if key in _ABOUT_ROWS else Weight.LEFT_OUT
        said.remark(f"`{key}: {value}` has no counterpart", weight)
