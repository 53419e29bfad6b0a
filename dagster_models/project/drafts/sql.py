"""Drafts of what is one query: a model's .sql file, a generated query."""

from __future__ import annotations

from dataclasses import replace

from dagster_models.core.model import Location, Step
from dagster_models.errors import Problem, SqlSyntaxError
from dagster_models.project.copied import check_copy, is_copy
from dagster_models.project.custom import with_kind
from dagster_models.project.drafts.checks import CHECK_HEADER, check_uses
from dagster_models.project.drafts.draft import Draft, DraftContext, NameUse
from dagster_models.project.drafts.step import (
    configuration,
    declared_uses,
    is_reserved,
    new_step,
    parse_header,
    suspected_uses,
    unset_variable,
    use_of,
    warn_of_jinja,
)
from dagster_models.project.drafts.templates import with_config
from dagster_models.project.files import ProjectFile
from dagster_models.project.function import check_text
from dagster_models.project.header import sql_header
from dagster_models.project.incremental import check_keys, check_use_of_since, incremental
from dagster_models.project.problems import problem
from dagster_models.project.python.sql_function import in_generated
from dagster_models.sql.canonical import canonical, content_config, version_of
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.regions import full_text


def draft_sql(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a model's .sql file."""
    if misplaced := CHECK_HEADER.match(file.text.lstrip()):
        line = file.text.count("\n", 0, file.text.index(misplaced[0])) + 1
        fix = "Write `@model`, or move the file to checks/."
        what = "a model's header begins with `@check`"
        context.report(Problem(what, file.path, line, 1, fix))
    header = parse_header(sql_header(file.text), file, context.report)
    header = with_config(header, file, context.report)
    values = configuration(header, file, context)
    step = new_step(file, "sql", values, context, sql=file.text)
    if file.rendered is not None:
        step = replace(step, template=file.rendered.origin)
    check_keys(step, header, context.report)
    check_copy(step, header, context.settings.targets, context.report)
    draft = draft_query(step, declared_uses(values, "upstream"), context)
    step = with_kind(draft.step, header, context)
    return draft if step is draft.step else replace(draft, step=step)


def draft_query(step: Step, declared: tuple[NameUse, ...], context: DraftContext) -> Draft:
    """The draft of a step with all that its query says. *declared* are names from its header.

    What is wrong in a generated query is placed at ``Step.sql_line``, as nobody can look into it.
    """
    report, path, generated = context.report, step.location.path, step.sql_line
    uses, elsewhere = (*declared, *check_uses(step, context)), is_copy(step)
    try:
        full = full_text(step.sql, context.settings.dialect) or ""
        parsed, unread = context.read_query(step.sql, elsewhere=elsewhere)
        if full:
            parsed = _both(parsed, context.read_query(full)[0])
    except SqlSyntaxError as error:
        what, line, column = error.what, error.line, error.column
        if generated:
            what, column = in_generated(step.sql, line, what), 1
        report(Problem(what, path, generated or line, column, error.fix))
        return Draft(step, uses)

    def place(line: int, column: int) -> Location:
        return Location(path, generated, 1) if generated else Location(path, line, column)

    warn_of_jinja(step.sql, place, context)
    if full and not incremental(step):
        what = "`/* @incremental */` and `/* @full */` have no effect: the model is not incremental"
        report(problem(what, step.location, "Add `materialized: incremental`, or delete them."))
    if unread is not None and not elsewhere:
        what = f"{unread.what}; only `upstream:` says what it reads, and its columns are unknown"
        fix = "" if step.config.upstream else "Name the tables in `upstream:` in the header."
        report(problem(what, place(unread.line, unread.column), fix, "warning"))
    used = {}
    for holder in parsed.placeholders:
        if holder.name in step.variables:
            used[holder.name] = step.variables[holder.name]
        elif not is_reserved(holder.name, step.config):
            at, known = place(holder.line, holder.column), step.variables
            unset = unset_variable(holder.name, at, known, elsewhere=elsewhere)
            if generated:
                unset = replace(unset, what=in_generated(step.sql, holder.line, unset.what))
            report(unset)
    holders = ((step.sql, it, place(it.line, it.column)) for it in parsed.placeholders)
    check_use_of_since(step, holders, context.settings.dialect, report)
    for line, column, what in parsed.unseen if not (step.config.upstream or elsewhere) else ():
        what = f"the tables that it reads cannot be determined: {what}"
        fix = "Name the tables in `upstream:` in the header."
        report(problem(what, place(line, column), fix, "warning"))
    check_text(step, parsed, context.settings.dialect, report)
    version = version_of(
        parsed.normalized, content_config(step.config), str(step.relation), canonical(used)
    )
    if elsewhere:
        return Draft(replace(step, code_version=version), uses)
    references = (*parsed.references, *parsed.calls)
    found = (use_of(ref, place(ref.line, ref.column)) for ref in references)
    complete = replace(step, references=references, code_version=version, full_sql=full)
    return Draft(complete, (*found, *uses, *suspected_uses(parsed, place)))


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
