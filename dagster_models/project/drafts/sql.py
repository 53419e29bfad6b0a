"""Drafts of what is one query: a model's .sql file, a generated query, a file of checks/."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from dagster_models.core.checks import Check
from dagster_models.core.model import Key, Location, Step
from dagster_models.errors import Problem, SqlSyntaxError, UnreadableSql
from dagster_models.project.config import CHECK_KEYS
from dagster_models.project.custom import with_kind
from dagster_models.project.drafts.draft import CheckDraft, Draft, DraftContext, NameUse
from dagster_models.project.drafts.step import (
    check_uses,
    configuration,
    declared_uses,
    is_reserved,
    new_step,
    parse_header,
    suspected_uses,
    unset_variable,
    use_of,
)
from dagster_models.project.files import ProjectFile
from dagster_models.project.function import check_text
from dagster_models.project.header import sql_header
from dagster_models.project.incremental import check_keys, check_use_of_since, incremental
from dagster_models.project.problems import problem
from dagster_models.project.yaml.fields import read_mapping
from dagster_models.sql.canonical import canonical, content_config, version_of
from dagster_models.sql.jinja import jinja_in_literals, refuse_jinja
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.regions import full_text
from dagster_models.sql.unread import read_tokens

_CHECK_HEADER = re.compile(r"(/\*\*?\s*)@check\b")


def draft_sql(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a model's .sql file."""
    if misplaced := _CHECK_HEADER.match(file.text.lstrip()):
        line = file.text.count("\n", 0, file.text.index(misplaced[0])) + 1
        fix = "Write `@model`, or move the file to checks/."
        what = "a model's header begins with `@check`"
        context.report(Problem(what, file.path, line, 1, fix))
    header = parse_header(sql_header(file.text), file, context.report)
    values = configuration(header, file, context)
    step = new_step(file, "sql", values, context, sql=file.text)
    check_keys(step, header, context.report)
    draft = draft_query(step, declared_uses(values, "upstream"), context)
    return replace(draft, step=with_kind(draft.step, header, context))


def draft_query(step: Step, declared: tuple[NameUse, ...], context: DraftContext) -> Draft:
    """The draft of a step with all that its query says. *declared* are names from its header.

    What is wrong in a generated query is placed at ``Step.sql_line``, as nobody can look into it.
    """
    report, path, generated = context.report, step.location.path, step.sql_line
    uses = (*declared, *check_uses(step.checks))
    try:
        full = full_text(step.sql, context.settings.dialect) or ""
        parsed, unread = _read_query(step.sql, context)
        if full:
            parsed = _both(parsed, _read_query(full, context)[0])
    except SqlSyntaxError as error:
        what, line, column = error.what, error.line, error.column
        if generated:
            what, column = f"line {line} of what sql(vars) returned: {what}", 1
        report(Problem(what, path, generated or line, column, error.fix))
        return Draft(step, uses)

    def place(line: int, column: int) -> Location:
        return Location(path, generated, 1) if generated else Location(path, line, column)

    _warn_of_jinja(step.sql, place, context)
    if full and not incremental(step):
        what = "`/* @incremental */` and `/* @full */` have no effect: the model is not incremental"
        report(problem(what, step.location, "Add `materialized: incremental`, or delete them."))
    if unread is not None:
        what = f"{unread.what}; only `upstream:` says what it reads, and its columns are unknown"
        fix = "" if step.config.upstream else "Name the tables in `upstream:` in the header."
        report(problem(what, place(unread.line, unread.column), fix, "warning"))
    used = {}
    for holder in parsed.placeholders:
        if holder.name in step.variables:
            used[holder.name] = step.variables[holder.name]
        elif not is_reserved(holder.name, step.config):
            report(unset_variable(holder.name, place(holder.line, holder.column), step.variables))
    holders = ((step.sql, it, place(it.line, it.column)) for it in parsed.placeholders)
    check_use_of_since(step, holders, report)
    for line, column, what in parsed.unseen if not step.config.upstream else ():
        what = f"the tables that it reads cannot be determined: {what}"
        fix = "Name the tables in `upstream:` in the header."
        report(problem(what, place(line, column), fix, "warning"))
    check_text(step, parsed, context.settings.dialect, report)
    version = version_of(
        parsed.normalized, content_config(step.config), str(step.relation), canonical(used)
    )
    references = (*parsed.references, *parsed.calls)
    found = (use_of(ref, place(ref.line, ref.column)) for ref in references)
    complete = replace(step, references=references, code_version=version, full_sql=full)
    return Draft(complete, (*found, *uses, *suspected_uses(parsed, place)))


def draft_check(file: ProjectFile, context: DraftContext) -> CheckDraft | None:
    """The draft of a file of checks/, None if it does not parse. Its model is not decided yet."""
    report, variables = context.report, context.settings.variables.values
    # `@check` and `@model` are equally long, so the places stay right.
    text = _CHECK_HEADER.sub(r"\1@model", file.text)
    values = read_mapping(parse_header(sql_header(text), file, report), CHECK_KEYS, report)
    name = values.get("name", file.name)
    try:
        parsed, unread = _read_query(file.text, context)
    except SqlSyntaxError as error:
        report(Problem(error.what, file.path, error.line, error.column, error.fix))
        return None
    if unread is not None:
        what = f"{unread.what}; what it reads besides its model is unknown"
        report(Problem(what, file.path, unread.line, unread.column, severity="warning"))
    place = partial(Location, file.path)
    _warn_of_jinja(file.text, place, context)
    for holder in parsed.placeholders:
        if holder.name not in variables:
            at = place(holder.line, holder.column)
            report(unset_variable(holder.name, at, variables))
    check = Check(
        name=name,
        model=Key("", ""),
        severity=values.get("severity", "error"),
        location=Location(file.path),
        text=file.text,
        description=values.get("description", ""),
    )
    uses = tuple(
        use_of(ref, place(ref.line, ref.column), name)
        for ref in (*parsed.references, *parsed.calls)
    )
    model = None
    if "model" in values:
        written, at = values["model"]
        model = NameUse(tuple(written.split(".")), written, at, required=True, check=name)
    return CheckDraft(check, uses, model)


def _warn_of_jinja(text: str, place: Callable[[int, int], Location], context: DraftContext) -> None:
    for line, column, written in jinja_in_literals(text, context.settings.dialect):
        what = f"{written} is sent as it is: nothing renders the Jinja in it"
        fix = "Write a variable, such as `$day`, instead of the text."
        context.report(problem(what, place(line, column), fix, "warning"))


def _both(parsed: ParsedSql, full: ParsedSql) -> ParsedSql:
    """What a text says in its two readings, whose places are the same."""
    references = {reference.start: reference for reference in full.references + parsed.references}
    placeholders = {holder.start: holder for holder in full.placeholders + parsed.placeholders}
    return replace(
        parsed,
        references=tuple(references[start] for start in sorted(references)),
        placeholders=tuple(placeholders[start] for start in sorted(placeholders)),
        normalized=f"{parsed.normalized}\n{full.normalized}",
        unseen=tuple(dict.fromkeys(parsed.unseen + full.unseen)),
        calls=tuple({call.start: call for call in full.calls + parsed.calls}.values()),
    )


def _read_query(text: str, context: DraftContext) -> tuple[ParsedSql, UnreadableSql | None]:
    """What a query says. Where the parser does not know it and the project accepts that: what its
    tokens alone show, and the parser's error."""
    settings = context.settings
    refuse_jinja(text, settings.dialect)
    try:
        return context.texts.parse(text, settings.dialect), None
    except UnreadableSql as error:
        if settings.unreadable_sql != "warn":
            raise
        return read_tokens(text, settings.dialect), error
