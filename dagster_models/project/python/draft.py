"""A Python file of models/ or scripts/ -> a draft of its step."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

from dagster_models.core.model import Location, Reference, Step
from dagster_models.errors import Problem, SqlSyntaxError, UnreadableSql
from dagster_models.project.draft import (
    Draft,
    Page,
    Read,
    check_reads,
    configuration,
    new_step,
    read_comment,
    read_of,
    unset_variable,
    with_sql,
)
from dagster_models.project.header import python_header
from dagster_models.project.python.reads import HOLE, PyQuery, PythonFile, read_python
from dagster_models.project.python.source import fingerprint, generate_sql, line_of_function
from dagster_models.project.settings import Settings
from dagster_models.project.yaml.fields import problem
from dagster_models.project.yaml.nodes import Report
from dagster_models.sql.canonical import canonical, content_config, version_of
from dagster_models.sql.parse import ParsedSql, plain_text
from dagster_models.sql.parsed_texts import ParsedTexts


def draft_python(
    page: Page, settings: Settings, texts: ParsedTexts, root: str, helpers: str, report: Report
) -> Draft:
    """A model of a .py file: ``def model(warehouse)`` or ``def sql(vars)``."""
    header = read_comment(python_header(page.text), page, report)
    values, reads, _ = configuration(header, "model", page, report)
    file = _python_file(page, report)
    if file is None:
        return Draft(new_step(page, "python", values, settings, report), reads)
    if file.kind == "sql":
        step = new_step(page, "sql", values, settings, report)
        return _generated(step, page, root, reads, settings, texts, report)
    if file.kind != "model":
        what = "a Python model needs `def model(warehouse)` or `def sql(vars)`"
        fix = "Define one, without `async`; a file that builds no relation belongs into scripts/."
        report(Problem(what, page.path, 1, 1, fix))
    own = header.value.get("materialized") if header is not None else None
    if own is not None and own.value == "view":
        fix = "Delete `materialized: view`, or generate the query by `def sql(vars)`."
        report(problem("a Python model is always a table", own.place, fix))
    values["materialized"] = "table"
    step = new_step(page, "python", values, settings, report)
    return _with_code(step, file, page, reads, (), helpers, settings, texts, report)


def draft_script(
    page: Page, settings: Settings, texts: ParsedTexts, helpers: str, report: Report
) -> Draft:
    """A script: it runs, and builds no relation."""
    header = read_comment(python_header(page.text), page, report)
    values, reads, feeds = configuration(header, "script", page, report)
    step = new_step(page, "script", values, settings, report)
    file = _python_file(page, report)
    if file is None:
        return Draft(step, reads, feeds)
    if file.idle_main:
        what = "the script defines `main`, and nothing calls it"
        fix = "Call it at the end of the file: `main()`."
        report(Problem(what, page.path, file.idle_main, 1, fix, "warning"))
    return _with_code(step, file, page, reads, feeds, helpers, settings, texts, report)


def _generated(
    step: Step,
    page: Page,
    root: str,
    reads: tuple[Read, ...],
    settings: Settings,
    texts: ParsedTexts,
    report: Report,
) -> Draft:
    try:
        text = generate_sql(page.text, f"{root}/{page.path}", root, step.variables)
    except SqlSyntaxError as error:
        report(Problem(error.what, page.path, error.line, error.column, error.fix))
        return Draft(step, (*reads, *check_reads(step.checks)))
    at = line_of_function(page.text, "sql")
    return with_sql(replace(step, sql=text), text, reads, settings, texts, report, at)


def _python_file(page: Page, report: Report) -> PythonFile | None:
    try:
        return read_python(page.text)
    except SqlSyntaxError as error:
        report(Problem(error.what, page.path, error.line, error.column, error.fix))
        return None


def _with_code(
    step: Step,
    file: PythonFile,
    page: Page,
    reads: tuple[Read, ...],
    feeds: tuple[Read, ...],
    helpers: str,
    settings: Settings,
    texts: ParsedTexts,
    report: Report,
) -> Draft:
    """*step* with the tables that its code can be seen to read. *helpers*: the code it imports."""
    found: list[Read] = []
    references: list[Reference] = []
    for table in file.tables:
        parts = tuple(part.strip('"') for part in table.name.split("."))
        references.append(Reference(parts, 0, 0, table.line, table.column))
        found.append(Read(parts, table.name, Location(page.path, table.line, table.column)))
    parsed = _parsed_queries(file.queries, page.path, settings, texts, report)
    temporary = {name.lower() for _, _, query in parsed for name in query.temporary}
    used: dict[str, Any] = {}
    for at, _, query in parsed:
        for ref in query.references:
            if ref.name.lower() in temporary:  # made by a statement of this file, for its session
                continue
            references.append(replace(ref, line=at.line + ref.line - 1))
            found.append(read_of(ref, _inside(at, ref.line, ref.column)))
        for holder in query.placeholders:
            if holder.name in step.variables:
                used[holder.name] = step.variables[holder.name]
            else:
                place = _inside(at, holder.line, holder.column)
                report(unset_variable(holder.name, place, step.variables))
    partly: set[tuple[int, int]] = set()
    for call, at, query in _partly_seen(file, page.path, settings.dialect, texts):
        seen = [ref for ref in query.references if HOLE not in ref.name.lower()]
        if len(seen) == len(query.references):
            partly.add(call)
        found += [read_of(ref, _inside(at, ref.line, ref.column)) for ref in seen]
    if not step.config.upstream:
        _report_unseen(file, partly, [(at, q) for at, _, q in parsed], page.path, report)

    def plain_sql(text: str) -> str | None:
        try:
            texts.parse(text, settings.dialect, queries_only=False)  # what is no SQL is just a text
            return plain_text(text, settings.dialect)
        except SqlSyntaxError:
            return None

    code = fingerprint(page.text, plain_sql), helpers
    step = replace(
        step,
        references=tuple(references),
        queries=tuple(dict.fromkeys(text for _, text, _ in parsed)),
        code_version=version_of(
            *code, content_config(step.config), str(step.relation), canonical(used)
        ),
    )
    return Draft(step, (*found, *reads, *check_reads(step.checks)), feeds)


def _parsed_queries(
    queries: Iterable[PyQuery], path: str, settings: Settings, texts: ParsedTexts, report: Report
) -> list[tuple[Location, str, ParsedSql]]:
    """Each query that parses, and the place in the file where its text begins. One that the parser
    does not know is sent as it stands in the file, where the project takes that."""
    parsed = []
    for query in queries:
        at = Location(path, query.line)
        try:
            found = texts.parse(query.text, settings.dialect, queries_only=False)
        except SqlSyntaxError as error:
            place, what, fix, severity = (
                _inside(at, error.line, error.column),
                *_judged(error, settings),
            )
            report(problem(what, place, fix, severity))
        else:
            parsed.append((at, query.text, found))
    return parsed


def _partly_seen(
    file: PythonFile, path: str, dialect: str, texts: ParsedTexts
) -> Iterator[tuple[tuple[int, int], Location, ParsedSql]]:
    """The queries that are known but for some values in them: (place of the call, of the text,
    what it says)."""
    for place, query in file.partial:
        with contextlib.suppress(SqlSyntaxError):  # then nothing is seen
            parsed = texts.parse(query.text, dialect, queries_only=False)
            yield place, Location(path, query.line), parsed


def _judged(error: SqlSyntaxError, settings: Settings) -> tuple[str, str, str]:
    if isinstance(error, UnreadableSql) and settings.unreadable_sql == "warn":
        what = f"{error.what}; it is sent as it is, and depends on what `upstream:` names"
        return what, "Write the full names of the tables in it.", "warning"
    return error.what, error.fix, "error"


def _inside(at: Location, line: int, column: int) -> Location:
    """A place of a query in its file. On the query's first line the column is not known: the text
    may begin after quotes, or be put together of several constants."""
    return Location(at.path, at.line + line - 1, column if line > 1 else at.column)


def _report_unseen(
    file: PythonFile,
    partly: Collection[tuple[int, int]],
    parsed: Iterable[tuple[Location, ParsedSql]],
    path: str,
    report: Report,
) -> None:
    fix = "Name what it reads in `upstream:` of the header."
    for line, column, what in file.unseen:
        place = Location(path, line, column)
        if (line, column) in partly:
            told = f"no names are replaced in a text that is put together at run time: {what}"
            instead = "Write values as $variables, or full names of tables and `upstream:`."
            report(problem(told, place, instead, "warning"))
            continue
        report(problem(f"the tables that it reads cannot be seen: {what}", place, fix, "warning"))
    for at, query in parsed:
        for line, column, what in query.unseen:
            place = _inside(at, line, column)
            told = f"the tables that it reads cannot be seen: {what}"
            report(problem(told, place, fix, "warning"))
        if query.opaque:
            told = "the parser does not know this statement: tables may hide in it"
            report(problem(told, at, fix, "warning"))
