"""``checks:`` of a column, a model or a source -> Checks. dbt's `tests:` and `data_tests:` too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dagster_models.core.checks import ANY_ROW, Check, NamedArgument, Severity, Threshold
from dagster_models.core.model import Key, Location
from dagster_models.core.stand_ins import own_column
from dagster_models.errors import Problem
from dagster_models.project.checks import arguments as read
from dagster_models.project.checks.aliases import ALIASES, TOO_MANY, Alias, join_span
from dagster_models.project.checks.keys import KEYS
from dagster_models.project.checks.kinds import KINDS, CheckKind
from dagster_models.project.checks.queries import CheckQuery
from dagster_models.project.checks.thresholds import threshold, why_impossible
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml import fields
from dagster_models.project.yaml.fields import BadValue, Reader, read_mapping, unknown_key
from dagster_models.project.yaml.nodes import YamlNode, node_of
from dagster_models.util.nearest import suggest

_MOST_OF_WORDS = 50  #: characters of an expression's words in its name


@dataclass(frozen=True, slots=True)
class Declarations:
    """What the checks of one model or source have in common. ``severity``: that of those without
    one of their own. ``queries``: those of checks/ that have arguments."""

    owner: Key
    severity: Severity
    report: Report
    queries: Mapping[str, CheckQuery] = field(default_factory=dict)

    def read(self, nodes: Iterable[YamlNode | None], column: str = "") -> list[Check]:
        """The checks in lists of them, which stand under *column* if it has a name."""
        found = []
        for item in _items(nodes):
            try:
                found.append(_read_check(item, column, self))
            except BadValue as wrong:
                self.report(problem(wrong.what, wrong.place, wrong.fix))
        return [check for check in found if check is not None]


def _items(nodes: Iterable[YamlNode | None]) -> Iterator[YamlNode]:
    for node in nodes:
        if node is not None and node.value is not None:
            yield from node.value if isinstance(node.value, list) else [node]


def named_apart(checks: Sequence[Check], report: Report) -> tuple[Check, ...]:
    """The checks, without those whose name another one has, which are reported."""
    seen: dict[str, Check] = {}
    for check in _by_their_words(checks):
        first = seen.setdefault(check.name, check)
        if first is not check:
            what = f"two checks are named `{check.name}` (first on line {first.location.line})"
            fix = f"Give one of them a name: `{{{check.test}: {{name: ...}}}}`."
            report(problem(what, check.location, fix))
    return tuple(seen.values())


def _by_their_words(checks: Sequence[Check]) -> Iterator[Check]:
    """The checks; those expressions that would have one name are named by the words of their SQL,
    as in dbt, where several stand in a list without names."""
    count = Counter(check.name for check in checks)
    for check in checks:
        if count[check.name] > 1 and check.name == _name("expression", check.columns):
            sql = str(check.arguments.get("sql", "")).replace(own_column(0), "")
            words = "_".join(re.findall(r"[a-z0-9]+", sql.lower()))[:_MOST_OF_WORDS].rstrip("_")
            check = replace(check, name=f"{check.name}_{words}" if words else check.name)
        yield check


def _read_check(item: YamlNode, column: str, those: Declarations) -> Check | None:
    """The check of ``unique`` or ``{unique: {severity: warn}}``. Raises BadValue.

    None if it lacks an argument because that is wrong, which has been reported.
    """
    test, place, node = _test_of(item)
    query = those.queries.get(test)
    alias = ALIASES.get(test, Alias(test))
    if query is None and alias.kind not in KINDS:
        known = (*KINDS, *those.queries)
        fix = suggest(test, (*known, *ALIASES))
        raise BadValue(f"unknown check `{test}`", place, fix if "Did" in fix else _listed(known))
    kind = KINDS[alias.kind] if query is None else query.kind
    problems: list[Problem] = []
    given = _flat(node, kind if alias.kind == test else None, place)
    under = "" if "column" in kind.arguments else column
    given = _in_our_words(given, test, alias, under, problems.append)
    if alias.kind == "expression" and alias.kind != test and column and "sql" in given.value:
        rest = fields.text(given.value["sql"])  # theirs begins behind the column
        given.value["sql"] = YamlNode(f"{own_column(0)} {rest}", given.value["sql"].place)
    readers = {**kind.arguments, **_readers_of_columns(kind, column), **KEYS}
    if any(alias.ours(name) == TOO_MANY for name in alias.arguments):
        readers[TOO_MANY] = threshold
    values = read_mapping(given, readers, problems.append)
    for found in problems:
        those.report(found)
    if query is not None and column and "column" in query.arguments:
        values.setdefault("column", NamedArgument("column", (column,)))
    missing = [names for names in kind.needs if values.keys().isdisjoint(names)]
    if missing and not problems:
        raise _without(test, kind, missing, place)
    if missing or (problems and not column and not {"column", "columns"} & values.keys()):
        return None
    if not problems:
        kind.verify(values, given)
    columns = _columns(test, kind, values, column, place) if query is None else ()
    given_severity = values.get("severity") or (query and query.severity) or those.severity
    limits = _thresholds(kind, values, given, given_severity)
    taken = {name: values[name] for name in kind.arguments if name in values}
    if query is not None:
        defaults = {name: it.default for name, it in query.arguments.items()}
        taken = {**defaults, **taken}
        columns = (column,) if column else ()
    return Check(
        name=values.get("name") or _name(alias.kind, columns),
        model=those.owner,
        severity=given_severity,
        location=place,
        test=alias.kind if query is None else "query",
        columns=columns,
        arguments=taken,
        text="" if query is None else query.text,
        description=values.get("description") or (query.description if query else ""),
        where=values.get("where", ""),
        warn_if=limits.get("warn_if"),
        error_if=limits.get("error_if"),
        scope=values.get("scope"),
        limit=values.get("limit"),
        store_failures=values.get("store_failures", False),
    )


def _test_of(item: YamlNode) -> tuple[str, Location, YamlNode | None]:
    if isinstance(item.value, dict) and len(item.value) == 1:
        ((test, place, arguments),) = item.items()
        return test, place, arguments
    if isinstance(item.value, str):
        return item.value, item.place, None
    fix = "Write `unique`, or a name with its arguments: `{accepted_values: {values: [a]}}`."
    raise BadValue(f"expected the name of a check, got {fields.describe(item)}", item.place, fix)


def _listed(known: Iterable[str]) -> str:
    return f"Checks: {', '.join(sorted(known))}."


def _flat(node: YamlNode | None, kind: CheckKind | None, place: Location) -> YamlNode:
    """What a check is given, by name: a single value is the kind's own argument, and what dbt puts
    below `arguments` and `config` stands beside them."""
    if node is None or node.value is None:
        return YamlNode({}, place)
    if not isinstance(node.value, dict):
        if kind is None or not kind.bare:
            return node  # reported by read_mapping
        return YamlNode({kind.bare: node}, node.place, {kind.bare: node.place})
    flat = YamlNode({}, node.place)
    for key, at, value in node.items():
        inner = key in ("arguments", "config") and isinstance(value.value, dict)
        for name, name_at, item in value.items() if inner else ((key, at, value),):
            if name in flat.value:
                raise BadValue(f"`{name}` is given twice", name_at, "Delete one of them.")
            flat.value[name], flat.keys[name] = item, name_at
    return flat


def _in_our_words(
    given: YamlNode, test: str, alias: Alias, column: str, report: Report
) -> YamlNode:
    """The arguments under our names. What is not one of theirs is reported. *column* is the one
    under which the check stands, if any; its name need not be given, and may be."""
    if not isinstance(given.value, dict):
        return given
    ours = YamlNode({}, given.place)
    known = (*alias.arguments, *KEYS, "column_name")
    for key, at, node in given.items():
        name = {"column_name": "column"}.get(key, key)
        try:
            if key in alias.arguments and node.value is not None:
                name, node = alias.ours(key), alias.translated(key, node)
            elif test != alias.kind and key not in known:
                if key not in alias.ignored:
                    report(unknown_key(key, at, known))
                continue
            if name == "column" != key and column:
                _refuse_other_column(fields.text(node), column, node)
                continue
            ours.value[name], ours.keys[name] = node, at
        except BadValue as wrong:
            report(problem(f"`{key}`: {wrong.what}", wrong.place, wrong.fix))
    for name, value in alias.implied.items():
        if name not in ours.value:
            ours.value[name] = node_of(value, given.place)
            ours.keys[name] = given.place
    if "datepart" in alias.arguments:
        join_span(ours.value, alias.kind)
        ours.keys.update(
            {name: at.place for name, at in ours.value.items() if name not in ours.keys}
        )
    return ours


def _refuse_other_column(name: str, column: str, node: YamlNode) -> None:
    if name.lower() != column.lower():
        what = f"the check stands under the column `{column}`, and not under `{name}`"
        raise BadValue(what, node.place, "Write it under `checks:` of the model.")


def _readers_of_columns(kind: CheckKind, column: str) -> dict[str, Reader]:
    """The keys that name the columns of a check which does not stand under one."""
    if column or kind.about == "relation":
        return {}
    if kind.about == "columns":
        return {"columns": read.columns}
    return {"column": fields.text} if "column" not in kind.arguments else {}


def _without(
    test: str, kind: CheckKind, missing: Iterable[tuple[str, ...]], place: Location
) -> BadValue:
    """What is wrong with a check that lacks what its kind needs."""
    words = "` and `".join("` or `".join(names) for names in missing)
    fix = f"Write `{kind.example}`." if test in kind.example else ""
    return BadValue(f"`{test}` needs `{words}`", place, fix)


def _columns(
    test: str, kind: CheckKind, values: Mapping[str, Any], column: str, place: Location
) -> tuple[str, ...]:
    """The columns that a check is about. Raises BadValue if it does not name what it needs."""
    about = kind.about_with(values)
    if column:
        if about == "relation":
            fix = "Write it under `checks:` of the model, beside `columns:`."
            raise BadValue(f"`{test}` is about the whole relation", place, fix)
        return (column,)
    named = values.get("columns", ()) if about == "columns" else ()
    if "column" in values:
        named = (values["column"],)
    if not named and about in ("column", "columns"):
        key = "columns: [a, b]" if about == "columns" else "column: a"
        fix = f"Write it under a column, or `{{{test}: {{{key}}}}}`."
        raise BadValue(f"`{test}` does not say which column it checks", place, fix)
    return tuple(named)


def _thresholds(
    kind: CheckKind, values: Mapping[str, Any], given: YamlNode, severity: str
) -> dict[str, Threshold | None]:
    """``warn_if`` and ``error_if``. Raises BadValue for those that can never be reached."""
    found: dict[str, Threshold | None] = {
        name: values.get(name) for name in ("warn_if", "error_if")
    }
    if TOO_MANY in values:
        found[f"{severity}_if"] = values[TOO_MANY]
    for name, limit in found.items():
        if limit is None or kind.counts_rows:
            continue
        what, fix = "", "Write `> 0`, or leave it out."
        if limit.percent:
            what = "this check does not count rows, so it has no share of them"
        elif limit != ANY_ROW:
            what = f"this check finds one thing or nothing, so it never finds {limit}"
        if what:
            raise BadValue(f"`{name}`: {what}", given.value.get(name, given).place, fix)
    if values.get("severity") == "warn" and found["error_if"] is not None:
        what = "`severity: warn` never fails, and `error_if` says when it does"
        raise BadValue(what, given.value.get("error_if", given).place, "Delete one of the two.")
    if why := why_impossible(found["warn_if"], found["error_if"]):
        raise BadValue(
            why, given.value.get("warn_if", given).place, "Give `error_if` a larger number."
        )
    return found


def _name(test: str, columns: Sequence[str]) -> str:
    """A name that Dagster accepts: all other characters become _."""
    return re.sub(r"[^A-Za-z0-9_]", "_", "_".join((test, *columns)))
