"""Drafts of the Python files of models/ and scripts/."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from dagster_models.core.materializations import COPY, KINDS, is_custom
from dagster_models.core.model import Location, Module, Reference, Step
from dagster_models.errors import Problem, SqlSyntaxError, UnreadableSql
from dagster_models.project.config import EPHEMERAL, FUNCTION, Values
from dagster_models.project.custom import with_kind
from dagster_models.project.drafts.checks import check_uses
from dagster_models.project.drafts.draft import Draft, DraftContext, NameUse
from dagster_models.project.drafts.sql import draft_query
from dagster_models.project.drafts.step import (
    configuration,
    declared_uses,
    is_reserved,
    new_step,
    parse_header,
    suspected_uses,
    unset_variable,
    use_of,
    variables_of,
    warn_of_jinja,
)
from dagster_models.project.drafts.temporary import NONE, Temporary, temporary_names
from dagster_models.project.files import ProjectFile
from dagster_models.project.header import python_header
from dagster_models.project.incremental import check_keys, check_use_of_since
from dagster_models.project.problems import Report, problem
from dagster_models.project.python.imports import Modules, imported_code
from dagster_models.project.python.inline_metadata import read_environment
from dagster_models.project.python.moments import Moment
from dagster_models.project.python.reads import HOLE, PythonFile, read_python
from dagster_models.project.python.source import fingerprint, line_of_function
from dagster_models.project.python.step import read_step
from dagster_models.project.variables import without_secrets
from dagster_models.project.yaml.nodes import YamlNode
from dagster_models.sql.canonical import canonical, content_config, version_of
from dagster_models.sql.jinja import refuse_jinja
from dagster_models.sql.parsed import ParsedSql
from dagster_models.util.digests import digest_of
from dagster_models.util.python_code import code_digest


def draft_python(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a model's .py file: ``def model(warehouse)`` or ``def sql(vars)``."""
    report = context.report
    header = parse_header(python_header(file.text), file, report)
    values = configuration(header, file, context)
    uses = declared_uses(values, "upstream")
    code = _read_code(file, report)
    if code is None:
        shown = values if "def sql(" in file.text else _as_a_table(values)
        return Draft(new_step(file, "python", shown, context), uses)
    if code.kind == "sql":
        return _draft_generated(file, values, header, uses, context)
    if code.kind != "model":
        what = "a Python model needs `def model(warehouse)` or `def sql(vars)`"
        fix = "Define one, without `async`; a file that builds no relation belongs in scripts/."
        report(Problem(what, file.path, 1, 1, fix))
    own = header.value.get("materialized") if header is not None else None
    others = ("view", EPHEMERAL, FUNCTION, COPY)
    if own is not None and (own.value in others or is_custom(own.value)):
        fix = f"Delete `materialized: {own.value}`, or generate the query with `def sql(vars)`."
        report(problem("a Python model is always a table", own.place, fix))
    step = new_step(file, "python", _as_a_table(values), context)
    check_keys(step, header, report)
    return draft_code(Draft(step, uses), file, context)


def _as_a_table(values: Values) -> Values:
    """The values, with a kind that a function ``model`` can build: what else is set is that of a
    folder, for its SQL models."""
    word = values.get("materialized", "table")
    how = word if word in KINDS and KINDS[word].of_python else "table"
    return {**values, "materialized": how}


def draft_script(file: ProjectFile, context: DraftContext) -> Draft:
    """The draft of a script: it runs, and builds no relation."""
    header = parse_header(python_header(file.text), file, context.report)
    values = configuration(header, file, context)
    step = new_step(file, "script", values, context)
    bare = Draft(step, declared_uses(values, "upstream"), declared_uses(values, "downstream"))
    code = _read_code(file, context.report)
    if code is None:
        return bare
    if code.idle_main:
        what = "the script defines `main`, but nothing calls it"
        fix = "Call it at the end of the file: `main()`."
        context.report(Problem(what, file.path, code.idle_main, 1, fix, "warning"))
    environment = read_environment(file.text, file.path, context.report)
    return draft_code(replace(bare, step=replace(step, environment=environment)), file, context)


def _read_code(file: ProjectFile, report: Report) -> PythonFile | None:
    try:
        return read_python(file.text)
    except SqlSyntaxError as error:
        report(Problem(error.what, file.path, error.line, error.column, error.fix))
        return None


# --- def sql(vars) ---------------------------------------------------------------------------


def _draft_generated(
    file: ProjectFile,
    values: Values,
    header: YamlNode | None,
    declared: tuple[NameUse, ...],
    context: DraftContext,
) -> Draft:
    path, root = f"{context.root}/{file.path}", context.root
    try:
        variables = without_secrets(variables_of(values, context), context.settings.variables)
        text = context.run_sql_function(file.text, path, root, variables)
    except SqlSyntaxError as error:
        context.report(Problem(error.what, file.path, error.line, error.column, error.fix))
        step = new_step(file, "sql", values, context)
        return Draft(step, (*declared, *check_uses(step, context)))
    line = line_of_function(file.text, "sql")
    step = new_step(file, "sql", values, context, sql=text, sql_line=line)
    check_keys(step, header, context.report)
    draft = draft_query(step, declared, context)
    return replace(draft, step=with_kind(draft.step, header, context))


# --- code that reads the warehouse -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Query:
    """A query in a Python file: the place where its text begins, what it says, and when."""

    at: Location
    text: str
    parsed: ParsedSql
    moment: Moment

    @property
    def path(self) -> str:
        return self.at.path

    def place(self, line: int, column: int) -> Location:
        return _inside(self.at, line, column)


def _inside(at: Location, line: int, column: int) -> Location:
    """The place in the file of a place in a query whose text begins at *at*. On the query's first
    line the column is unknown: the text may begin after quotes, or consist of several constants."""
    return Location(at.path, at.line + line - 1, column if line > 1 else at.column)


def draft_code(
    bare: Draft, file: ProjectFile, context: DraftContext, entry: str = "model"
) -> Draft:
    """*bare*, completed with what its code visibly uses. *entry*: the function that is called."""
    step = bare.step
    # A script's own folder is importable too, as in processes/worker/usercode.py.
    own = (file.path.rpartition("/")[0] + "/",) if file.folder == "scripts" else ()
    modules = Modules((*own, ""), context.read_module)
    files = read_step(file.path, file.text, modules, entry)
    queries = [q for path, code in files.items() for q in _parsed_queries(code, path, context)]
    partial = {path: dict(_partial_queries(code, path, context)) for path, code in files.items()}
    composed = [query for known in partial.values() for query in known.values()]
    temporary = temporary_names([*queries, *composed])
    references: list[Reference] = []
    uses: list[NameUse] = []
    for path, code in files.items():
        for table in code.tables:
            parts = tuple(part.strip('"') for part in table.name.split("."))
            references.append(Reference(parts, 0, 0, table.line, table.column))
            place = Location(path, table.line, table.column)
            uses.append(NameUse(parts, table.name, place, is_text=True))
    for query in queries:
        every = (*query.parsed.references, *query.parsed.calls)
        found = tuple(_uses(query, every, temporary))
        references += [replace(ref, line=query.at.line + ref.line - 1) for ref, _ in found]
        uses += [use for _, use in found]
        uses += suspected_uses(query.parsed, query.place)
    for query in composed:
        uses += [use for _, use in _uses(query, _known(query), temporary)]
    if not step.config.upstream:
        for path, code in files.items():
            wholly_known = [call for call, query in partial[path].items() if _is_known(query)]
            _report_unseen_calls(code, wholly_known, path, file.path, context.report)
        _report_unseen_in_queries(queries, file.path, context.report)
    complete = replace(
        step,
        references=tuple(references),
        queries={query.text: temporary.get(query.text, NONE).every for query in queries},
        code_version=_version(step, queries, file, modules, context),
        code=code_digest(file.data),
        modules=tuple(_module(path, text) for path, text in modules.imported(file.text).items()),
    )
    return Draft(complete, (*uses, *bare.uses, *check_uses(step, context)), bare.feeds)


def _uses(
    query: _Query, references: Iterable[Reference], temporary: Mapping[str, Temporary]
) -> Iterator[tuple[Reference, NameUse]]:
    """The references of a query that are not those of temporary tables, and what they use."""
    names = temporary.get(query.text, NONE)
    for reference in references:
        if reference.name.lower() not in names.certain:
            use = use_of(reference, query.place(reference.line, reference.column))
            doubtful = reference.name.lower() in names.doubtful
            yield reference, replace(use, may_be_temporary=doubtful)


@lru_cache(maxsize=1024)  # many models import the same few modules
def _module(path: str, text: str) -> Module:
    data = text.encode("utf-8", "surrogatepass")
    return Module(path, digest_of(data), code_digest(data))


def _version(
    step: Step,
    queries: Sequence[_Query],
    file: ProjectFile,
    modules: Modules,
    context: DraftContext,
) -> str:
    """The code version, without what the names in the code mean. Variables without a value are
    reported."""
    dialect = context.settings.dialect
    used = {}
    for query in queries:
        for holder in query.parsed.placeholders:
            if holder.name in step.variables:
                used[holder.name] = step.variables[holder.name]
            elif not is_reserved(holder.name, step.config):
                place = query.place(holder.line, holder.column)
                context.report(unset_variable(holder.name, place, step.variables))
    holders = (
        (query.text, it, query.place(it.line, it.column))
        for query in queries
        for it in query.parsed.placeholders
    )
    check_use_of_since(step, holders, dialect, context.report)

    def plain_sql(text: str) -> str | None:
        from dagster_models.sql.parse import plain_text

        try:
            context.texts.parse(text, dialect, queries_only=False)  # what is not SQL is just a text
            return plain_text(text, dialect)
        except SqlSyntaxError:
            return None

    return version_of(
        fingerprint(file.text, plain_sql),
        imported_code(modules.imported(file.text)),
        content_config(step.config),
        str(step.relation),
        canonical(used),
        *(step.environment.dependencies if step.environment else ()),
    )


def _parsed_queries(code: PythonFile, path: str, context: DraftContext) -> Iterator[_Query]:
    """Each query that parses. A query that the parser does not know is sent to the warehouse as it
    is, where the project accepts that."""
    settings = context.settings
    for query in code.queries:
        at = Location(path, query.line)
        try:
            refuse_jinja(query.text, settings.dialect, built=context.built)
            parsed = context.texts.parse(query.text, settings.dialect, queries_only=False)
        except SqlSyntaxError as error:
            what, fix, severity = error.what, error.fix, "error"
            if isinstance(error, UnreadableSql) and settings.unreadable_sql == "warn":
                what += "; it is sent as it is, and only `upstream:` says what it reads"
                fix, severity = "Write full names of tables in it.", "warning"
            context.report(problem(what, _inside(at, error.line, error.column), fix, severity))
        else:
            warn_of_jinja(query.text, partial(_inside, at), context)
            yield _Query(at, query.text, parsed, query.moment)


def _partial_queries(
    code: PythonFile, path: str, context: DraftContext
) -> Iterator[tuple[tuple[int, int], _Query]]:
    """The place of each call whose query is known except for some values, and that query."""
    for call, query in code.partial:
        with contextlib.suppress(SqlSyntaxError):  # then nothing is seen
            parsed = context.texts.parse(query.text, context.settings.dialect, queries_only=False)
            yield call, _Query(Location(path, query.line), query.text, parsed, query.moment)


def _known(query: _Query) -> list[Reference]:
    """The references of a partial query whose names are complete."""
    return [ref for ref in query.parsed.references if HOLE not in ref.name.lower()]


def _is_known(query: _Query) -> bool:
    """Whether nothing but values is missing in a partial query."""
    return len(_known(query)) == len(query.parsed.references)


def _fix(path: str, own: str) -> str:
    """*own* is the step's own file, *path* the file with the code that we do not see through."""
    return f"Name the tables in `upstream:` in the header{f' of {own}' if path != own else ''}."


def _report_unseen_calls(
    code: PythonFile,
    wholly_known: Collection[tuple[int, int]],
    path: str,
    own: str,
    report: Report,
) -> None:
    """Warn of the calls in which the file *path* may read what is not visible at load."""
    for line, column, what in code.unseen:
        place = Location(path, line, column)
        if (line, column) in wholly_known:
            what = f"names are not replaced in SQL that is put together at run time: {what}"
            instead = (
                "Write values as $variables, or write full table names and put them in `upstream:`."
            )
            report(problem(what, place, instead, "warning"))
        else:
            what = f"the tables that it reads cannot be determined: {what}"
            report(problem(what, place, _fix(path, own), "warning"))


def _report_unseen_in_queries(queries: Sequence[_Query], own: str, report: Report) -> None:
    """Warn of what the SQL of a step may read without it being visible at load."""
    for query in queries:
        fix = _fix(query.at.path, own)
        for line, column, what in query.parsed.unseen:
            what = f"the tables that it reads cannot be determined: {what}"
            report(problem(what, query.place(line, column), fix, "warning"))
        if query.parsed.opaque:
            what = "the parser does not know this statement: it may use tables that are not seen"
            report(problem(what, query.at, fix, "warning"))
