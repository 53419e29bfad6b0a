"""A generic test of dbt -> an entry of our ``checks:``, where one of our kinds finds the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from dagster_models.core.model import Key, Location
from dagster_models.dbt.checks.thresholds import keys_of, limits_of
from dagster_models.dbt.project.manifest import DbtNode, GenericTest, Manifest
from dagster_models.errors import Problem
from dagster_models.project.checks.aliases import ALIASES
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.checks.read import Declarations
from dagster_models.project.yaml.nodes import node_of

_CORE = ("unique", "not_null", "accepted_values", "relationships")
#: The kinds that find as many failures as dbt's test: the number matters to a threshold.
_SAME_NUMBER = ("unique", "not_null", "relationships")
_NAME = re.compile(r'[A-Za-z_][\w$]*|"[^"]+"')
#: Names of other relations in the arguments of tests, and names of columns.
_RELATIONS = ("to", "compare_model")
_COLUMNS = (
    *("field", "combination_of_columns", "column_list", "compare_columns", "exclude_columns"),
    "group_by_columns",
)

Entry = dict[str, Any]
"""A check as it is written: {kind: {argument: value}}."""

NameOf = Callable[[str], str]
"""unique_id -> the name in our SQL."""

TestPackages = Mapping[str, Collection[str]]
"""The name of a test -> the packages that have one for some adapter (``default__test_unique``)."""


def test_packages(manifest: Manifest) -> TestPackages:
    found: dict[str, set[str]] = {}
    for macro in manifest.macros.values():
        for at in re.finditer("__test_", macro.name):
            found.setdefault(macro.name[at.end() :], set()).add(macro.package)
    return found


def word_of(test: GenericTest) -> str:
    """The word of docs/checks.md for a test; "" if there is none."""
    if test.namespace in (None, "dbt"):
        return test.name if test.name in _CORE else ""
    word = f"{test.namespace}.{test.name}"
    return word if word in ALIASES else ""


def column_of(test: GenericTest) -> str | None:
    """The column of a test, "" for none, and None for an expression in its place."""
    written = test.arguments.get("column_name") or test.column
    if not written:
        return ""
    return str(written).strip('"') if _NAME.fullmatch(str(written)) else None


def entry_of(
    node: DbtNode, owner: str, relation: NameOf, packages: TestPackages, *, nearly: bool = False
) -> tuple[str, Entry] | None:
    """(kind, what it says) of the check under the column of the test, or under the model; None if
    no kind means the same, or *nearly* the same."""
    test = node.test
    if test is None or not (word := word_of(test)) or not _is_original(node, test, packages):
        return None
    arguments = _arguments(node, test, owner, relation)
    kind = ALIASES[word].kind if word in ALIASES else word
    if arguments is None or column_of(test) is None:
        return None
    if word in ALIASES and ALIASES[word].note and not nearly:
        return None
    says = _keys(node, kind)
    if says is None:
        return None
    entry = {**arguments, **says}
    return (word, entry) if _is_read(word, entry, column_of(test) or "") else None


def _is_original(node: DbtNode, test: GenericTest, packages: TestPackages) -> bool:
    """Whether the test is that of its package, and not one of the project with the same name."""
    package = test.namespace or "dbt"
    if f"macro.{package}.test_{test.name}" not in node.depends_on_macros:
        return False
    return all(it == package for it in packages.get(test.name, ()))


def _arguments(node: DbtNode, test: GenericTest, owner: str, relation: NameOf) -> Entry | None:
    found: Entry = {}
    for name, value in test.arguments.items():
        if name in ("model", "column_name") or value is None:
            continue
        if name in _RELATIONS:
            value = _relation(node, str(value), owner, relation)
        if name in _COLUMNS:
            value = _names(value)
        if value is None or _has_jinja(value):
            return None
        found[name] = value
    if test.name == "accepted_values":
        return _accepted_values(found)
    return found


def _relation(node: DbtNode, written: str, owner: str, relation: NameOf) -> str | None:
    """Our name of the other relation that a test reads."""
    if not re.match(r"\s*(\{\{\s*)?(ref|source)\s*\(", written):
        return None
    others = [it for it in node.depends_on if it != owner]
    if len(others) > 1:
        return None
    return relation(others[0] if others else owner) or None


def _names(value: Any) -> Any:
    """The names of columns without their quotes; None if one of them is an expression."""
    items = value if isinstance(value, list) else [value]
    if not all(_NAME.fullmatch(str(it)) for it in items):
        return None
    found = [str(it).strip('"') for it in items]
    return found if isinstance(value, list) else found[0]


def _accepted_values(given: Entry) -> Entry | None:
    """dbt writes each value as a text, whatever it is, unless `quote` is false."""
    quoted, values = given.pop("quote", True), given.get("values")
    if not isinstance(values, list) or not values:
        return None
    if quoted:
        return {**given, "values": [str(it) for it in values]}
    plain = all(isinstance(it, (int, float)) for it in values)
    return given if plain else None


def _has_jinja(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_jinja, value.values()))
    if isinstance(value, list):
        return any(map(_has_jinja, value))
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _keys(node: DbtNode, kind: str) -> Entry | None:
    """The keys that every check may have."""
    config, found = node.config, dict[str, Any]()
    limits = limits_of(config)
    if (config.get("fail_calc") or "count(*)") != "count(*)" and KINDS[kind].counts_rows:
        return None
    if not limits.is_plain and (kind not in _SAME_NUMBER or config.get("limit")):
        return None
    if (thresholds := keys_of(limits)) is None:
        return None
    if where := config.get("where"):
        if _has_jinja(where):
            return None
        found["where"] = str(where)
    if config.get("limit"):
        found["limit"] = config["limit"]
    if config.get("store_failures"):
        found["store_failures"] = True
    return {**thresholds, **found}


def _is_read(word: str, entry: Entry, column: str) -> bool:
    """Whether our reader takes the entry as it is."""
    problems: list[Problem] = []
    those = Declarations(Key("s", "t"), "error", problems.append)
    those.read([node_of([{word: entry}], Location(""))], column)
    return not problems
