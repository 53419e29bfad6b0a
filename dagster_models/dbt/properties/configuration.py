"""A model's configuration in dbt -> the keys of our header.

dbt writes all of its keys into the manifest, most of them with their default. A key that says
something and means nothing here is left out with a remark.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.dbt.project.interfaces import Rendering
from dagster_models.dbt.project.manifest import DbtNode, Manifest
from dagster_models.dbt.project.remarks import Weight
from dagster_models.dbt.properties import hooks, incremental, snapshots
from dagster_models.dbt.properties.header import ImportedHeader, accepted
from dagster_models.dbt.properties.profiles import written_type
from dagster_models.dbt.properties.tags_and_owners import label_keys
from dagster_models.project.yaml.fields import words

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


def header_of(
    node: DbtNode, manifest: Manifest, rendering: Rendering, dialect: str
) -> ImportedHeader:
    """The header of a model or snapshot, without its names (``schema``, ``alias``) and checks."""
    header = ImportedHeader(node)
    kind = _KINDS.get(node.materialized)
    if kind is None:
        header.refused.append(f"`materialized: {node.materialized}` is not known here")
    else:
        header.values["materialized"] = kind
    if kind is not None and kind != node.materialized:
        what = f"`materialized: {node.materialized}` is a table, which each build replaces"
        header.remark(what, Weight.DIFFERS if node.materialized == "external" else Weight.NOTE)
    if kind == "incremental":
        incremental.incremental_keys(header, manifest.adapter_type, dialect)
    elif kind == "snapshot":
        snapshots.snapshot_keys(header)
    relation_keys(header, manifest, rendering, dialect)
    _contract(header)
    if columns := columns_of(header):
        header.values["columns"] = columns
    read = {"incremental": incremental.KEYS, "snapshot": snapshots.KEYS}.get(kind or "", ())
    remark_unread(header, read)
    return header


def relation_keys(
    header: ImportedHeader, manifest: Manifest, rendering: Rendering, dialect: str
) -> None:
    """What models and seeds have in common."""
    if description := header.node.description.strip():
        header.values["description"] = description
    label_keys(header, manifest)
    if header.node.materialized == "ephemeral":
        return
    persisted = header.mapping("persist_docs")
    if kept := {key: True for key in ("relation", "columns") if persisted.get(key)}:
        header.values["persist_docs"] = kept
    _grants(header, manifest.adapter_type)
    _indexes(header, manifest.adapter_type)
    hooks.hook_keys(header, rendering, dialect)


def _grants(header: ImportedHeader, adapter: str) -> None:
    grants = header.mapping("grants")
    if grants and written_type(adapter) == "duckdb":
        weight = Weight.NOTE if adapter == "duckdb" else Weight.LEFT_OUT
        header.remark(f"`grants: {grants}`: DuckDB has no roles", weight)
    elif grants and not all(accepted(words, roles) for roles in grants.values()):
        header.refused.append(f"`grants: {dict(grants)}` has no lists of roles")
    elif grants:
        header.values["grants"] = {
            privilege: [roles] if isinstance(roles, str) else list(roles)
            for privilege, roles in grants.items()
        }


def _indexes(header: ImportedHeader, adapter: str) -> None:
    indexes = header.setting("indexes")
    if not indexes:
        return
    if not isinstance(indexes, list) or not all(isinstance(it, Mapping) for it in indexes):
        header.refused.append(f"`indexes: {indexes}` is no list of mappings")
        return
    if header.values.get("materialized") == "view":
        header.remark("`indexes`: a view has none", Weight.NOTE)
        return
    on_duckdb = written_type(adapter) == "duckdb"
    keys = ("columns", "unique") if on_duckdb else ("columns", "unique", "type")
    found = [
        {key: index[key] for key in keys if index.get(key) not in (None, False)}
        for index in indexes
    ]
    header.values["indexes"] = [it for at, it in enumerate(found) if it not in found[:at]]


def _contract(header: ImportedHeader) -> None:
    contract = header.setting("contract") or {}
    if isinstance(contract, Mapping) and contract.get("enforced"):
        header.values["contract"] = True
        if contract.get("alias_types") is False:
            header.remark("`alias_types: false`: types are compared as the warehouse names them")


def columns_of(header: ImportedHeader) -> dict[str, dict[str, Any]]:
    """``columns:`` of the header, each with its description and type."""
    found: dict[str, dict[str, Any]] = {}
    for column in header.node.columns:
        own: dict[str, Any] = {}
        if column.description.strip():
            own["description"] = column.description.strip()
        if column.type:
            own["type"] = column.type
        found[column.name] = own
        lost = [key for key in ("meta", "tags") if column.given.get(key)]
        if lost:
            header.remark(f"the {' and '.join(lost)} of the column {column.name}")
    return found


def remark_unread(header: ImportedHeader, read: tuple[str, ...]) -> None:
    """A remark for each key that has a value and is read nowhere."""
    for key, value in header.node.config.items():
        if key in _ELSEWHERE or key in read or value in (None, "", [], {}):
            continue
        if _DEFAULTS.get(key) == value or key == "snapshot_meta_column_names":
            continue
        weight = Weight.DIFFERS if key in _ABOUT_ROWS else Weight.LEFT_OUT
        header.remark(f"`{key}: {value}` has no counterpart", weight)
