"""One file of a project -> a draft of its step: everything but what other files decide.

Pure: a draft is made of texts. What is wrong is told, and the draft is made all the same, as other
files may name it: a model with a typo in it must not make its readers' references unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dagster_models.core.messages import digest_of
from dagster_models.core.model import (
    Check,
    Key,
    Location,
    Reference,
    Relation,
    Step,
    StepKind,
)
from dagster_models.errors import Problem, SqlSyntaxError, UnreadableSql
from dagster_models.project.columns import read_columns
from dagster_models.project.config import (
    CHECK_KEYS,
    Values,
    build_config,
    merge,
    placed_names,
    read_header,
)
from dagster_models.project.header import (
    Header,
    sql_header,
    unread_python_header,
    unread_sql_header,
)
from dagster_models.project.settings import Settings
from dagster_models.project.yaml.fields import problem, read_mapping
from dagster_models.project.yaml.nodes import Report, YamlNode, read_yaml
from dagster_models.sql.canonical import canonical, content_config, version_of
from dagster_models.sql.parsed import ParsedSql
from dagster_models.sql.parsed_texts import ParsedTexts
from dagster_models.sql.unread import read_tokens
from dagster_models.util.nearest import suggest

_CHECK_HEADER = re.compile(r"(/\*\*?\s*)@check\b")


@dataclass(frozen=True, slots=True)
class Page:
    """A file as read: ``path`` relative to the project with "/", ``text`` without a BOM."""

    path: str
    key: Key
    text: str
    data: bytes
    defaults: tuple[Values, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """A name that a file uses, and where. ``written``: as it is looked up in ``Step.resolved``.

    ``scripts``: the name may be a script's. ``required``: it must resolve, as a header or a check
    names it; a table in SQL may be one that nobody declared. ``check``: it is read by a check.
    ``target``: it is written to, not read.
    """

    parts: tuple[str, ...]
    written: str
    place: Location
    scripts: bool = False
    required: bool = False
    check: str = ""
    target: bool = False
    certain: bool = True  #: else it may be a column's name: nothing to tell if nobody bears it


@dataclass(frozen=True, slots=True)
class Draft:
    """A step whose references are not resolved yet. ``path`` is the file's."""

    step: Step
    reads: tuple[Read, ...] = ()
    feeds: tuple[Read, ...] = ()  #: ``downstream:`` of a script

    @property
    def kind(self) -> str:
        return "model" if self.step.kind in ("sql", "python") else self.step.kind


@dataclass(frozen=True, slots=True)
class CheckDraft:
    """A file of checks/. ``model``: the name that its header gives, if any."""

    check: Check
    reads: tuple[Read, ...]
    model: Read | None = None


# --- models ----------------------------------------------------------------------------------


def draft_sql(page: Page, settings: Settings, texts: ParsedTexts, report: Report) -> Draft:
    """A model of a .sql file."""
    if misplaced := _CHECK_HEADER.match(page.text.lstrip()):
        line = page.text.count("\n", 0, page.text.index(misplaced[0])) + 1
        fix = "Write `@model`, or move the file to checks/."
        report(Problem("a model's header begins with `@check`", page.path, line, 1, fix))
    header = read_comment(sql_header(page.text), page, report)
    values, reads, _ = configuration(header, "model", page, report)
    step = new_step(page, "sql", values, settings, report, page.text)
    return with_sql(step, page.text, reads, settings, texts, report)


def draft_unread(page: Page, kind: StepKind, settings: Settings) -> Draft:
    """The name alone, of a file that could not be read: others may use it all the same."""
    return Draft(new_step(page, kind, {}, settings, lambda problem: None))


_SYSTEM = "it is the warehouse's own"
_RESERVED = {
    "dagster_models": "the commit records stand there, which prove what was published",
    "information_schema": _SYSTEM,
    "pg_catalog": _SYSTEM,
}


def new_step(
    page: Page, kind: StepKind, values: Values, settings: Settings, report: Report, sql: str = ""
) -> Step:
    severity = values.get("severity", "error")
    columns, checks = read_columns(values.get("columns"), page.key, severity, report)
    values = {"group": page.key.schema, **values}
    config = build_config(values, columns, materialized="table" if kind == "seed" else "view")
    relation = None
    if kind != "script":
        relation = Relation(config.schema or page.key.schema, config.alias or page.key.name)
        if relation.schema.lower() in _RESERVED:
            why = _RESERVED[relation.schema.lower()]
            what = f"the schema `{relation.schema}` is not for models: {why}"
            report(Problem(what, page.path, 1, 1, "Rename the folder, or set `schema:`."))
    return Step(
        key=page.key,
        kind=kind,
        location=Location(page.path),
        config=config,
        relation=relation,
        sql=sql,
        checks=checks,
        variables={**settings.vars, **values.get("vars", {})},
        digest="" if kind == "sql" else digest_of(page.data),
    )


def read_comment(header: Header | None, page: Page, report: Report) -> YamlNode | None:
    """The configuration in a header. Settings that nobody reads are told, not dropped."""
    if header is None:
        _report_unread_header(page, report)
        return None
    node = read_yaml(header.yaml, page.path, report, first_line=header.line, file_text=page.text)
    if node is not None and not isinstance(node.value, dict):
        read_mapping(node, {}, report)  # tells that it is no mapping
        return None
    return node


def _report_unread_header(page: Page, report: Report) -> None:
    if page.path.endswith(".py"):
        line = unread_python_header(page.text)
        fix = "It stands in the module's docstring, below a line `@model`, also in a script."
    else:
        line = unread_sql_header(page.text)
        fix = "It stands in a comment `/* @model ... */` at the head of the file."
    if line is not None:
        report(Problem("this header is not read", page.path, line, 1, fix))


def configuration(
    header: YamlNode | None, kind: str, page: Page, report: Report
) -> tuple[Values, tuple[Read, ...], tuple[Read, ...]]:
    """The merged values, and the names of ``upstream:`` and ``downstream:``."""
    values = merge((*page.defaults, read_header(header, kind, report)))

    def named(key: str) -> tuple[Read, ...]:
        return tuple(
            Read(tuple(name.split(".")), name, place, scripts=True, required=True)
            for name, place in placed_names(values.get(key))
        )

    return values, named("upstream"), named("downstream")


def check_reads(checks: tuple[Check, ...]) -> tuple[Read, ...]:
    return tuple(
        Read(
            tuple(check.arguments["to"].split(".")),
            check.arguments["to"],
            check.location,
            required=True,
            check=check.name,
        )
        for check in checks
        if check.test == "relationships"
    )


# --- SQL -------------------------------------------------------------------------------------


def with_sql(
    step: Step,
    text: str,
    reads: tuple[Read, ...],
    settings: Settings,
    texts: ParsedTexts,
    report: Report,
    at: int = 0,
) -> Draft:
    """*step* with what its query says. ``at``: the line to name, for generated SQL."""
    reads = (*reads, *check_reads(step.checks))
    path = step.location.path
    try:
        parsed, unread = _read_sql(text, settings, texts)
    except SqlSyntaxError as error:
        what, line, column = error.what, error.line, error.column
        if at:
            what, line, column = f"what sql(vars) returned: {what} (its line {line})", at, 1
        report(Problem(what, path, line, column, error.fix))
        return Draft(step, reads)
    if unread is not None:
        what = f"{unread.what}; it depends on what `upstream:` names, its columns are not known"
        fix = "" if step.config.upstream else "Name what it reads in `upstream:` of the header."
        line, column = (at, 1) if at else (unread.line, unread.column)
        report(Problem(what, path, line, column, fix, "warning"))

    def place(line: int, column: int) -> Location:
        return Location(path, at, 1) if at else Location(path, line, column)

    used = {}
    for holder in parsed.placeholders:
        if holder.name in step.variables:
            used[holder.name] = step.variables[holder.name]
        else:
            report(unset_variable(holder.name, place(holder.line, holder.column), step.variables))
    for line, column, what in parsed.unseen if not step.config.upstream else ():
        told = f"the tables that it reads cannot be seen: {what}"
        fix = "Name what it reads in `upstream:` of the header."
        report(problem(told, place(line, column), fix, "warning"))
    version = version_of(
        parsed.normalized, content_config(step.config), str(step.relation), canonical(used)
    )
    step = replace(step, references=parsed.references, code_version=version, sql_line=at)
    found = (read_of(ref, place(ref.line, ref.column)) for ref in parsed.references)
    return Draft(step, (*found, *reads))


def _read_sql(
    text: str, settings: Settings, texts: ParsedTexts
) -> tuple[ParsedSql, UnreadableSql | None]:
    """What a query says; where the parser does not know it and the project takes that, what its
    tokens alone show, and the error."""
    try:
        return texts.parse(text, settings.dialect), None
    except UnreadableSql as error:
        if settings.unreadable_sql != "warn":
            raise
        return read_tokens(text, settings.dialect), error


def read_of(reference: Reference, place: Location, check: str = "") -> Read:
    return Read(
        reference.parts,
        reference.name,
        place,
        check=check,
        target=reference.written,
        certain=reference.certain,
    )


def unset_variable(name: str, place: Location, known: Mapping[str, Any]) -> Problem:
    fix = "Set it in `vars:` of dagster_models.yaml or of the header."
    if known:
        fix = f"{suggest(name, known, 'Variables')} {fix}"
    return problem(f"the variable `{name}` has no value", place, fix)


def draft_check(
    page: Page, settings: Settings, texts: ParsedTexts, report: Report
) -> CheckDraft | None:
    """A query of checks/, or None if it does not parse. Its Check's model is not decided yet."""
    # `@check` and `@model` are equally long, so the places stay right.
    header = read_comment(sql_header(_CHECK_HEADER.sub(r"\1@model", page.text)), page, report)
    values = read_mapping(header, CHECK_KEYS, report)
    name = values.get("name", page.key.name)
    try:
        parsed, unread = _read_sql(page.text, settings, texts)
    except SqlSyntaxError as error:
        report(Problem(error.what, page.path, error.line, error.column, error.fix))
        return None
    if unread is not None:
        what = f"{unread.what}; what it reads beside its model is not known"
        report(Problem(what, page.path, unread.line, unread.column, severity="warning"))
    for holder in parsed.placeholders:
        if holder.name not in settings.vars:
            place = Location(page.path, holder.line, holder.column)
            report(unset_variable(holder.name, place, settings.vars))
    check = Check(
        name=name,
        model=Key("", ""),
        severity=values.get("severity", "error"),
        location=Location(page.path),
        text=page.text,
        description=values.get("description", ""),
    )
    reads = tuple(
        read_of(ref, Location(page.path, ref.line, ref.column), name) for ref in parsed.references
    )
    model = None
    if "model" in values:
        written, place = values["model"]
        model = Read(tuple(written.split(".")), written, place, required=True, check=name)
    return CheckDraft(check, reads, model)
