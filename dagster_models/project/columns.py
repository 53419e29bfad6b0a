"""``columns:`` of a header or of sources.yaml: descriptions, types and column checks."""

from __future__ import annotations

from dagster_models.core.checks import Check
from dagster_models.core.model import Column, Location
from dagster_models.project.checks.keys import WORDS
from dagster_models.project.checks.read import Declarations
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode


def read_columns(
    node: YamlNode | None, those: Declarations
) -> tuple[tuple[Column, ...], tuple[Check, ...]]:
    """The columns and their checks, from a mapping by name or dbt's list of ``- name:`` items."""
    readers: dict[str, Reader] = {
        "name": fields.text,
        "description": fields.text,
        "type": fields.text,
        "data_type": fields.text,
        **dict.fromkeys(WORDS, fields.as_is),
    }
    columns: list[Column] = []
    found: list[Check] = []
    for name, place, item in _entries(node, those.report):
        values = read_mapping(item, readers, those.report)
        type_ = values.get("type", values.get("data_type", ""))
        columns.append(Column(name, values.get("description", ""), type_, place))
        found += those.read((values.get(word) for word in WORDS), name)
    return tuple(columns), tuple(found)


def _entries(node: YamlNode | None, report: Report) -> list[tuple[str, Location, YamlNode]]:
    if node is None or node.value is None:
        return []
    if isinstance(node.value, dict):
        return list(node.items())
    if not isinstance(node.value, list):
        fix = "Write `columns: {name: {description: ..., checks: [...]}}`."
        what = f"`columns`: expected keys and values, got {fields.describe(node)}"
        report(problem(what, node.place, fix))
        return []
    entries = []
    for item in node.value:
        name = item.value.get("name") if isinstance(item.value, dict) else None
        if name is None or not isinstance(name.value, str):
            report(problem("a column has no name", item.place, "Write `- name: ...`."))
        else:
            entries.append((name.value, item.place, item))
    return entries
