"""What the statements beside a step's query say, and all of its extras in its code version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from dagster_models.core.extras import UserStatement
from dagster_models.core.model import Config, Location, Reference, Step
from dagster_models.core.plain import plain
from dagster_models.errors import SqlSyntaxError
from dagster_models.project.drafts.draft import Draft, DraftContext, NameUse
from dagster_models.project.drafts.step import (
    suspected_uses,
    unset_variable,
    use_of,
    warn_of_placeholder,
)
from dagster_models.project.extras import comments, refused
from dagster_models.project.incremental import wrong_predicates
from dagster_models.project.problems import problem
from dagster_models.project.runner import wrong_runner
from dagster_models.sql.canonical import canonical, version_of
from dagster_models.sql.jinja import refuse_jinja
from dagster_models.sql.parsed import ParsedSql


def with_extras(draft: Draft, context: DraftContext) -> Draft:
    """*draft*, with the names that its statements use, and with a code version that counts them
    and whatever else the build does besides the rows."""
    step = draft.step
    config = step.config
    target = context.settings.targets.get(context.settings.default_target)
    wrong = wrong_predicates(step, context.settings.dialect)
    for found in (*refused(step, target), *wrong_runner(step, target), *wrong):
        context.report(found)
    more = (config.grants, config.indexes, config.persist_docs, config.export)
    if not (_statements(config) or any(more)):  # nearly every step
        return draft
    read = list(_read(step, context))
    comment, column_comments = comments(config)
    said = {
        "statements": [(it.key, parsed.normalized) for it, parsed in read],
        "variables": _used(step, read, context),
        "grants": config.grants,
        "indexes": [plain(index) for index in config.indexes],
        "comments": [] if not config.persist_docs else [comment, column_comments],
        **({"export": plain(config.export)} if config.export is not None else {}),
    }
    if not any(said.values()):
        return draft
    uses: list[NameUse] = []
    references: list[Reference] = []
    for statement, parsed in read:
        place = partial(_place, statement)
        references += parsed.references
        uses += [
            replace(use_of(ref, place(ref.line, ref.column)), beside=True)
            for ref in parsed.references
        ]
        uses += suspected_uses(parsed, place)
        for line, column, what in parsed.unseen if not config.upstream else ():
            what = f"the tables that it reads cannot be determined: {what}"
            fix = "Name the tables in `upstream:` in the header."
            context.report(problem(what, place(line, column), fix, "warning"))
    version = version_of(step.code_version, canonical(said)) if step.code_version else ""
    complete = replace(step, beside=tuple(references), code_version=version)
    return replace(draft, step=complete, uses=(*draft.uses, *uses))


def _statements(config: Config) -> tuple[UserStatement, ...]:
    return (*config.pre_statements, *config.post_statements)


def _read(step: Step, context: DraftContext) -> Iterator[tuple[UserStatement, ParsedSql]]:
    """The step's statements that may run, and what each of them says."""
    dialect = context.settings.dialect
    for statement in _statements(step.config):
        from dagster_models.sql.statements import refuse_other_statements

        try:
            refuse_jinja(statement.sql, dialect, in_literals=True, built=context.built)
            refuse_other_statements(statement.sql, dialect)
            warn_of_placeholder(statement.sql, _place(statement, 1), context.report)
            yield statement, context.texts.parse(statement.sql, dialect, queries_only=False)
        except SqlSyntaxError as error:
            place = _place(statement, error.line, error.column)
            context.report(problem(f"`{statement.key}`: {error.what}", place, error.fix))


def _place(statement: UserStatement, line: int, column: int = 1) -> Location:
    """In its file. What comes before the text in its line is not known."""
    return Location(statement.path, statement.line + line - 1, column if line > 1 else 1)


def _used(
    step: Step, read: list[tuple[UserStatement, ParsedSql]], context: DraftContext
) -> dict[str, object]:
    """The variables that the statements use. Those without a value are reported."""
    used = {}
    for statement, parsed in read:
        for holder in parsed.placeholders:
            if holder.name in step.variables:
                used[holder.name] = step.variables[holder.name]
            elif holder.name != "this":
                place = _place(statement, holder.line, holder.column)
                context.report(unset_variable(holder.name, place, step.variables))
    return used
