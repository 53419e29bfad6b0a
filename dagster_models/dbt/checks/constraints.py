"""The constraints of a contract -> checks: a build that breaks one of them is not published."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dagster_models.dbt.checks.entries import Entry
from dagster_models.dbt.checks.placing import OwnChecks
from dagster_models.dbt.project.interfaces import Lookup
from dagster_models.dbt.project.manifest import STEPS, DbtNode, Manifest
from dagster_models.dbt.project.remarks import Remark, Weight

_KEYS = {"not_null": ("not_null",), "unique": ("unique",), "primary_key": ("not_null", "unique")}
_REF = re.compile(r"ref\(\s*['\"](\w+)['\"]\s*\)")


def add_constraints(
    node: DbtNode, checks: dict[str, OwnChecks], manifest: Manifest, names: Lookup
) -> Iterator[Remark]:
    """Add what the contract of a model says of its rows, where no check says it already."""
    contract = node.config.get("contract") or {}
    if not contract.get("enforced") or node.materialized not in ("table", "incremental"):
        return
    own = checks.setdefault(node.unique_id, OwnChecks())
    for columns, constraint in _constraints(node):
        found = list(_checks(columns, constraint, manifest, names))
        for column, item in found:
            place = own.columns.setdefault(column, []) if column else own.whole
            if item not in place:
                place.append(item)
        shown = f"the constraint {constraint.get('type')} of {', '.join(columns) or 'the model'}"
        if found:
            yield Remark(node.unique_id, f"{shown} is a check", Weight.NOTE)
        else:
            yield Remark(node.unique_id, f"{shown} has no counterpart", Weight.DIFFERS)


def _constraints(node: DbtNode) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for column in node.columns:
        for constraint in column.given.get("constraints") or ():
            yield (column.name,), constraint
    for constraint in node.given.get("constraints") or ():
        yield tuple(constraint.get("columns") or ()), constraint


def _checks(
    columns: tuple[str, ...], constraint: Mapping[str, Any], manifest: Manifest, names: Lookup
) -> Iterator[tuple[str, str | Entry]]:
    """(column, check), of the column "" for the whole relation."""
    kind = constraint.get("type")
    for word in _KEYS.get(str(kind), ()):
        if word == "unique" and len(columns) > 1:
            yield "", {"unique": {"columns": list(columns)}}
        else:
            yield from ((column, word) for column in columns)
    if kind == "check" and constraint.get("expression"):
        name = {"name": constraint["name"]} if constraint.get("name") else {}
        yield "", {"expression": {"sql": str(constraint["expression"]), **name}}
    if kind == "foreign_key" and len(columns) == 1:
        yield from ((columns[0], item) for item in _foreign(constraint, manifest, names))


def _foreign(constraint: Mapping[str, Any], manifest: Manifest, names: Lookup) -> Iterator[Entry]:
    written, to_columns = str(constraint.get("to") or ""), list(constraint.get("to_columns") or ())
    named = _REF.search(written)
    for node in manifest.nodes.values() if len(to_columns) == 1 and written else ():
        is_meant = node.relation.written == written or (named and node.name == named[1])
        if is_meant and node.kind in STEPS and (name := names.name(node.unique_id)):
            yield {"relationships": {"to": name, "field": to_columns[0]}}
            return
