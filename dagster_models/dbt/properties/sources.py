"""The sources of a dbt project -> models/sources.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.dbt.checks.placing import Checks, OwnChecks
from dagster_models.dbt.project.interfaces import Lookup
from dagster_models.dbt.project.manifest import DbtSource, Manifest
from dagster_models.dbt.project.remarks import Remark, Weight


def sources_of(
    manifest: Manifest, names: Lookup, checks: Checks, database: str | None
) -> tuple[dict[str, Any], list[Remark]]:
    """What models/sources.yaml says, {} if there are none. *database*: that of the target, which a
    source need not name."""
    groups: dict[tuple[str, str, str | None, str], dict[str, Any]] = {}
    remarks: list[Remark] = []
    for source in manifest.sources.values():
        name = names.name(source.unique_id)
        if not name or names.meant(source.unique_id) != source.unique_id:
            continue
        schema, _, table = name.rpartition(".")
        catalog = source.relation.database if source.relation.database != database else None
        written = (schema, source.relation.schema, catalog, source.source_description.strip())
        group = groups.setdefault(written, _group(*written))
        declared = checks.declared.get(source.unique_id, OwnChecks())
        group["tables"].append(_table(source, table, declared))
        remarks += _unread(source)
    if not groups:
        return {}, remarks
    return {"version": 2, "sources": list(groups.values())}, remarks


def _group(schema: str, real: str, catalog: str | None, description: str) -> dict[str, Any]:
    return {
        "name": schema,
        **({"schema": real} if real != schema else {}),
        **({"catalog": catalog} if catalog else {}),
        **({"description": description} if description else {}),
        "tables": [],
    }


def _table(source: DbtSource, name: str, declared: OwnChecks) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if source.relation.identifier != name:
        found["identifier"] = source.relation.identifier
    if source.description.strip():
        found["description"] = source.description.strip()
    found |= _freshness(source)
    columns: dict[str, dict[str, Any]] = {}
    for column in source.columns:
        columns[column.name] = {
            **({"description": column.description.strip()} if column.description.strip() else {}),
            **({"type": column.type} if column.type else {}),
        }
    with_checks(columns, declared)
    if columns:
        found["columns"] = columns
    if declared.whole:
        found["checks"] = declared.whole
    if source.meta:
        found["meta"] = dict(source.meta)
    return found


def with_checks(columns: dict[str, dict[str, Any]], declared: OwnChecks) -> None:
    """Add the checks to the columns, whose names dbt writes in any case."""
    spelled = {name.lower(): name for name in columns}
    for name, items in declared.columns.items():
        column = columns.setdefault(spelled.get(name.lower(), name), {})
        column["checks"] = [*column.get("checks", ()), *items]


def _freshness(source: DbtSource) -> dict[str, Any]:
    """dbt's own words are understood here."""
    written = source.given.get("freshness") or {}
    limits = {
        ours: f"{limit['count']}{limit['period'][0]}"
        for ours, theirs in (("warn", "warn_after"), ("fail", "error_after"))
        if (limit := written.get(theirs)) and limit.get("count") and limit.get("period")
    }
    loaded = source.given.get("loaded_at_field")
    query = source.given.get("loaded_at_query") or source.config.get("loaded_at_query")
    if not limits or not (loaded or query):
        return {}
    if written.get("filter"):
        limits["where"] = written["filter"]
    at = {"loaded_at_query": query} if query else {"loaded_at": loaded}
    return {**at, "freshness": limits}


def _unread(source: DbtSource) -> list[Remark]:
    given = {
        "tags": source.tags,
        "loader": source.given.get("loader"),
        "external": source.given.get("external"),
        "event_time": source.config.get("event_time"),
    }
    remarks = [
        Remark(source.unique_id, f"`{key}: {value}` of a source has no counterpart")
        for key, value in given.items()
        if value not in (None, "", (), [], {})
    ]
    written: Mapping[str, Any] = source.given.get("freshness") or {}
    has_limits = any((written.get(key) or {}).get("count") for key in ("warn_after", "error_after"))
    if has_limits and not _freshness(source):
        what = "the freshness has no loaded_at_field, so nothing says how old the rows are"
        remarks.append(Remark(source.unique_id, what, Weight.DIFFERS))
    for column in source.columns:
        if column.given.get("meta") or column.given.get("tags"):
            what = f"the meta and tags of the column {column.name}"
            remarks.append(Remark(source.unique_id, what))
    return remarks
