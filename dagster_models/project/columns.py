"""``columns:`` of a header or of sources.yaml: descriptions, types and column checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dagster_models.core.checks import Check, Severity
from dagster_models.core.model import Column, Key, Location
from dagster_models.errors import Problem
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.util.nearest import suggest


def _values(node: YamlNode) -> tuple[Any, ...]:
    if not isinstance(node.value, list) or not node.value:
        fix = "Write `values: [a, b]`."
        raise BadValue(f"expected a list of values, got {fields.describe(node)}", node.place, fix)
    for item in node.value:
        if isinstance(item.value, (dict, list)):
            raise BadValue(f"{fields.describe(item)} is not a single value", item.place)
    return tuple(node.plain())


#: The column checks, as dbt defines them -> the arguments that each must have.
TESTS: Mapping[str, Mapping[str, Reader]] = {
    "unique": {},
    "not_null": {},
    "accepted_values": {"values": _values},
    "relationships": {"to": fields.text, "field": fields.text},
}
_ANY: dict[str, Reader] = {
    "name": fields.name,
    "severity": fields.one_of("error", "warn"),
    "description": fields.text,
}


def read_columns(
    node: YamlNode | None, key: Key, severity: Severity, report: Report, *, checks: bool = True
) -> tuple[tuple[Column, ...], tuple[Check, ...]]:
    """The columns and their checks, from a mapping by name or dbt's list of ``- name:`` items.

    *severity* is that of checks without one of their own. With ``checks=False`` (sources) there are
    none.
    """
    readers: dict[str, Reader] = {
        "name": fields.text,
        "description": fields.text,
        "type": fields.text,
        "data_type": fields.text,
        **({"checks": lambda item: item} if checks else {}),
    }
    columns: list[Column] = []
    found: list[Check] = []
    for name, place, item in _entries(node, report):
        values = read_mapping(item, readers, _hinting(report, checks))
        type_ = values.get("type", values.get("data_type", ""))
        columns.append(Column(name, values.get("description", ""), type_, place))
        found += _read_checks(values.get("checks"), key, name, severity, report)
    return tuple(columns), _named_apart(found, report)


_WORDS_FOR_CHECKS = tuple(f"unknown key `{word}`" for word in ("tests", "data_tests", "checks"))


def _hinting(report: Report, checks: bool) -> Report:
    """*report*, with a better answer than "unknown key" to dbt's own words for checks."""

    def hinting(found: Problem) -> None:
        if found.what in _WORDS_FOR_CHECKS:
            fix = "Write `checks:` instead."
            if not checks:
                fix = "Checks of sources are not supported yet: write checks/<name>.sql instead."
            found = replace(found, fix=fix)
        report(found)

    return hinting


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


def _read_checks(
    node: YamlNode | None, key: Key, column: str, severity: Severity, report: Report
) -> list[Check]:
    if node is None or node.value is None:
        return []
    found = []
    for item in node.value if isinstance(node.value, list) else [node]:
        try:
            found.append(_read_check(item, key, column, severity, report))
        except BadValue as wrong:
            report(problem(wrong.what, wrong.place, wrong.fix))
    return found


def _read_check(item: YamlNode, key: Key, column: str, severity: Severity, report: Report) -> Check:
    """The check of ``unique`` or ``{unique: {severity: warn}}``. Raises BadValue."""
    arguments: YamlNode | None = None
    place = item.place
    if isinstance(item.value, dict) and len(item.value) == 1:
        ((test, place, arguments),) = item.items()
    elif isinstance(item.value, str):
        test = item.value
    else:
        fix = "Write `unique`, or a name with its arguments: `{accepted_values: {values: [a]}}`."
        raise BadValue(f"expected the name of a check, got {fields.describe(item)}", place, fix)
    if test not in TESTS:
        raise BadValue(f"unknown check `{test}`", place, suggest(test, TESTS, "Checks"))
    problems: list[Problem] = []
    values = read_mapping(arguments, {**TESTS[test], **_ANY}, problems.append)
    for found in problems:
        report(found)
    missing = [name for name in TESTS[test] if name not in values]
    if missing and not problems:
        raise BadValue(f"`{test}` needs `{'` and `'.join(missing)}`", place, _example(test))
    return Check(
        name=values.get("name") or _slug(f"{test}_{column}"),
        model=key,
        severity=values.get("severity", severity),
        location=place,
        test=test,
        columns=(column,),
        arguments={name: values[name] for name in TESTS[test] if name in values},
        description=values.get("description", ""),
    )


def _example(test: str) -> str:
    if test == "accepted_values":
        return "Write `{accepted_values: {values: [a, b]}}`."
    return "Write `{relationships: {to: model, field: column}}`."


def _slug(text: str) -> str:
    """A name that Dagster accepts: all other characters become _."""
    return re.sub(r"[^A-Za-z0-9_]", "_", text)


def _named_apart(checks: list[Check], report: Report) -> tuple[Check, ...]:
    seen: dict[str, Check] = {}
    for check in checks:
        first = seen.setdefault(check.name, check)
        if first is not check:
            what = f"two checks are named `{check.name}` (first on line {first.location.line})"
            fix = f"Give one of them a name: `{{{check.test}: {{name: ...}}}}`."
            report(problem(what, check.location, fix))
    return tuple(seen.values())
