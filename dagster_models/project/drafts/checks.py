"""The files of checks/, and the names that the checks of a step use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from dagster_models.core.checks import Check, NamedArgument
from dagster_models.core.freshness import FRESHNESS
from dagster_models.core.model import Key, Location, Reference, Source, Step
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.errors import Problem, SqlSyntaxError
from dagster_models.project.checks.conditions import conditions_of
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.checks.queries import THIS, CheckQuery, refuse_known
from dagster_models.project.config import CHECK_KEYS, Values
from dagster_models.project.drafts.draft import CheckDraft, DraftContext, NameUse
from dagster_models.project.drafts.step import (
    parse_header,
    unset_variable,
    use_of,
    warn_of_jinja,
    warn_of_placeholder,
)
from dagster_models.project.files import ProjectFile
from dagster_models.project.header import sql_header
from dagster_models.project.problems import problem
from dagster_models.project.yaml.fields import BadValue, read_mapping
from dagster_models.sql.parsed import ParsedSql

CHECK_HEADER = re.compile(r"(/\*\*?\s*)@check\b")
_HAS_ARGUMENTS = re.compile(r"@check\b(?:(?!\*/).)*?^\s*arguments\s*:", re.DOTALL | re.MULTILINE)


def check_queries(files: Sequence[ProjectFile], context: DraftContext) -> dict[str, CheckQuery]:
    """The files of checks/ that have arguments, by name."""
    found: dict[str, CheckQuery] = {}
    for file in files:
        if file.folder != "checks" or file.ending != ".sql" or not _HAS_ARGUMENTS.search(file.text):
            continue
        values = _header(file, context)
        parsed = _parsed(file, context, {**values.get("arguments", {}), THIS: None})
        if parsed is None:
            continue
        name = values.get("name", file.name)
        query = CheckQuery(
            name,
            Location(file.path),
            file.text,
            values.get("arguments", {}),
            values.get("severity"),
            values.get("description", ""),
            (*parsed.references, *parsed.calls),
        )
        try:
            refuse_known(name, query.location)
            if "model" in values:
                what = "a query with arguments checks the models that use it"
                raise BadValue(what, values["model"][1], f"Write `{name}` under `checks:` of them.")
        except BadValue as wrong:
            context.report(problem(wrong.what, wrong.place, wrong.fix))
            continue
        found[name] = query
    return found


def draft_check(file: ProjectFile, context: DraftContext) -> CheckDraft | None:
    """The draft of a file of checks/. Its model is not decided yet.

    None if it has arguments.
    """
    if _HAS_ARGUMENTS.search(file.text):
        return None
    values = _header(file, context)
    name = values.get("name", file.name)
    parsed = _parsed(file, context, {})
    names = (*parsed.references, *parsed.calls) if parsed else _names_in(file.text, context)
    check = replace(check_of_header(name, values, Location(file.path)), text=file.text)
    uses = tuple(use_of(ref, Location(file.path, ref.line, ref.column), name) for ref in names)
    return CheckDraft(check, uses, model_of_header(name, values), broken=parsed is None)


def _names_in(text: str, context: DraftContext) -> tuple[Reference, ...]:
    """What the tokens show of a query that does not parse: enough to find the model it checks."""
    from dagster_models.sql.unread import read_tokens

    try:
        return read_tokens(text, context.settings.dialect).references
    except SqlSyntaxError:
        return ()


def check_of_header(name: str, values: Values, location: Location) -> Check:
    """What the header of a file of checks/ says of its check. Its model is not decided yet."""
    return Check(
        name=name,
        model=Key("", ""),
        severity=values.get("severity", "error"),
        location=location,
        description=values.get("description", ""),
        warn_if=values.get("warn_if"),
        error_if=values.get("error_if"),
        scope=values.get("scope"),
        limit=values.get("limit"),
        store_failures=values.get("store_failures", False),
    )


def model_of_header(name: str, values: Values) -> NameUse | None:
    """The model that the header names."""
    if "model" not in values:
        return None
    written, place = values["model"]
    return NameUse(tuple(written.split(".")), written, place, required=True, check=name)


def _header(file: ProjectFile, context: DraftContext) -> Values:
    # `@check` and `@model` are equally long, so the places stay right.
    text = CHECK_HEADER.sub(r"\1@model", file.text)
    header = parse_header(sql_header(text), file, context.report)
    return read_mapping(header, CHECK_KEYS, context.report)


def _parsed(
    file: ProjectFile, context: DraftContext, arguments: Mapping[str, Any]
) -> ParsedSql | None:
    """What the query says; None if it does not parse. What is wrong in it is reported."""
    report, known = context.report, {**context.settings.variables.values, **arguments}
    try:
        parsed, unread = context.read_query(file.text, header="@check")
    except SqlSyntaxError as error:
        report(Problem(error.what, file.path, error.line, error.column, error.fix))
        return None
    if unread is not None:
        what = f"{unread.what}; what it reads besides its model is unknown"
        report(Problem(what, file.path, unread.line, unread.column, severity="warning"))
    place = partial(Location, file.path)
    warn_of_jinja(file.text, place, context)
    for holder in parsed.placeholders:
        if holder.name not in known:
            report(unset_variable(holder.name, place(holder.line, holder.column), known))
    return parsed


# --- what checks use -------------------------------------------------------------------------


def check_uses(owner: Step | Source, context: DraftContext) -> tuple[NameUse, ...]:
    """The names that the checks of a step or source read, in their arguments and conditions."""
    return tuple(use for check in owner.checks for use in _uses(check, owner.variables, context))


def _uses(check: Check, variables: Mapping[str, Any], context: DraftContext) -> Iterator[NameUse]:
    kind, place = KINDS.get(check.test), check.location
    named = [
        check.arguments[name]
        for name in (kind.relations if kind else ())
        if name in check.arguments
    ]
    named += [
        name
        for value in check.arguments.values()
        if isinstance(value, NamedArgument) and value.sort == "relation"
        for name in value.names
    ]
    for name in named:
        yield NameUse(tuple(name.split(".")), name, place, required=True, check=check.name)
    query = next((it for it in context.queries.values() if it.text == check.text), None)
    if query is not None:
        for reference in query.references:
            at = Location(query.location.path, reference.line, reference.column)
            yield use_of(reference, at, check.name)
    if check.test == FRESHNESS and check.text:
        yield from _read_by_query(check, context)
    for condition in conditions_of(check):
        from dagster_models.sql.statements import refuse_other_than_condition

        try:
            refuse_other_than_condition(condition.sql, context.settings.dialect)
            parsed, _ = context.read_query(condition.query, in_yaml=True)
        except SqlSyntaxError as error:
            what = f"the check `{check.name}`: `{condition.key}` is no condition: {error.what}"
            context.report(problem(what, place, error.fix))
            continue
        warn_of_placeholder(condition.sql, place, context.report)
        for holder in parsed.placeholders:
            if holder.name not in variables:
                context.report(unset_variable(holder.name, place, variables))
        for reference in (*parsed.references, *parsed.calls):
            if reference.name.lower() != OWN_RELATION:
                yield use_of(reference, place, check.name)


def _read_by_query(check: Check, context: DraftContext) -> Iterator[NameUse]:
    """The names in the query of a source's freshness."""
    try:
        parsed, _ = context.read_query(check.text, in_yaml=True)
    except SqlSyntaxError as error:
        what = f"`loaded_at_query`: {error.what}"
        context.report(problem(what, check.location, error.fix))
        return
    warn_of_placeholder(check.text, check.location, context.report)
    for reference in (*parsed.references, *parsed.calls):
        yield use_of(reference, check.location, check.name)
