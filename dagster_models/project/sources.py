"""``sources.yaml``: relations that the project reads and does not build, in dbt's shape.

sources:
  - name: raw              # the schema in the project's SQL
    schema: raw_prod       # its name in the warehouse, if it is another one
    tables:
      - name: flights      # the table in the project's SQL; `identifier:` if it is named otherwise
        columns: {flight_id: {description: "..."}}
        partitions: {by: flight_date}  # the column by which models that read it are partitioned
        meta: {dagster: {asset_key: [loader, flights]}}    # the Dagster asset that builds it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dagster_models.core.model import EMPTY, Key, Relation, Source
from dagster_models.project.checks.keys import WORDS
from dagster_models.project.checks.queries import CheckQuery
from dagster_models.project.checks.read import Declarations, named_apart
from dagster_models.project.columns import read_columns
from dagster_models.project.partitions import source_partitions
from dagster_models.project.problems import Noted, Report, errors_of, problem
from dagster_models.project.source_freshness import FRESHNESS_KEYS, freshness_checks
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode

FILE_KEYS: dict[str, Reader] = {"version": fields.as_is, "sources": fields.as_is}
SOURCE_KEYS: dict[str, Reader] = {
    "name": fields.name,
    "schema": fields.text,
    "catalog": fields.text,
    "database": fields.text,  # dbt's word for the catalog
    "description": fields.text,
    "meta": fields.mapping,
    "tables": fields.as_is,
    **FRESHNESS_KEYS,
}
TABLE_KEYS: dict[str, Reader] = {
    "name": fields.name,
    "identifier": fields.text,
    "description": fields.text,
    "columns": fields.as_is,
    **dict.fromkeys(WORDS, fields.as_is),
    "meta": fields.mapping,
    "partitions": source_partitions,
    **FRESHNESS_KEYS,
}


def read_sources(
    node: YamlNode | None, report: Report, queries: Mapping[str, CheckQuery] = EMPTY
) -> list[Source]:
    """All sources in one file. What is wrong is reported and left out. *queries* are those of
    checks/ that have arguments."""
    values = read_mapping(node, FILE_KEYS, report)
    found: list[Source] = []
    for item in _items(values.get("sources"), "sources", report):
        of_all = Noted(report)
        source = read_mapping(item, SOURCE_KEYS, of_all)
        if "name" not in source:
            _report_nameless("source", item, report)
            continue
        if "tables" not in source:
            what = f"the source `{source['name']}` has no tables"
            report(problem(what, item.place, "Add `tables: [{name: ...}]`."))
        for table in _items(source.get("tables"), "tables", report):
            own = Noted(report)
            for read in _read_table(table, source, item, own, queries):
                errors = errors_of((*of_all.problems, *own.problems))
                found.append(replace(read, problems=tuple(errors)))
    return found


def _items(node: YamlNode | None, noun: str, report: Report) -> list[YamlNode]:
    if node is None:
        return []
    if not isinstance(node.value, list):
        what = f"`{noun}`: expected a list, got {fields.describe(node)}"
        report(problem(what, node.place, "Begin each entry with `- name: ...`."))
        return []
    return [item if item.value is not None else YamlNode({}, item.place) for item in node.value]


def _report_nameless(noun: str, item: YamlNode, report: Report) -> None:
    # A name that is there but wrong has been reported already.
    if not isinstance(item.value, dict) or "name" not in item.value:
        report(problem(f"a {noun} has no name", item.place, "Add `name: ...`."))


def _read_table(
    node: YamlNode,
    source: dict[str, Any],
    of_source: YamlNode,
    report: Report,
    queries: Mapping[str, CheckQuery],
) -> list[Source]:
    if isinstance(node.value, str):  # `tables: [flights, planes]`
        node = YamlNode({"name": node}, node.place, {"name": node.place})
    values = read_mapping(node, TABLE_KEYS, report)
    if "name" not in values:
        _report_nameless("table", node, report)
        return []
    key = Key(source["name"], values["name"])
    those = Declarations(key, "error", report, queries)
    columns, checks = read_columns(values.get("columns"), those)
    fresh = tuple(freshness_checks(key, of_source, node, report))
    checks = (*fresh, *checks, *those.read(values.get(word) for word in WORDS))
    relation = Relation(
        schema=source.get("schema", key.schema),
        name=values.get("identifier", key.name),
        catalog=source.get("catalog", source.get("database")),
    )
    meta = {**source.get("meta", {}), **values.get("meta", {})}
    return [
        Source(
            key=key,
            relation=relation,
            location=node.place,
            description=values.get("description", source.get("description", "")),
            columns=columns,
            meta=meta,
            asset_key=_asset_key(meta, node, report),
            partitions=values.get("partitions"),
            checks=named_apart(checks, report),
        )
    ]


def _asset_key(meta: Mapping[str, Any], node: YamlNode, report: Report) -> tuple[str, ...] | None:
    """The key of the Dagster asset that builds the table, as dagster-dbt's users write it."""
    for_dagster = meta.get("dagster")
    key = for_dagster.get("asset_key") if isinstance(for_dagster, dict) else None
    if key is None:
        return None
    if isinstance(key, list) and key and all(part and isinstance(part, str) for part in key):
        return tuple(key)
    what = f"`meta: dagster: asset_key` is {key!r}, and not a list of texts"
    report(problem(what, node.place, "Write it as `asset_key: [schema, table]`."))
    return None
