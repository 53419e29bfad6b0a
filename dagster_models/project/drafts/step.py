"""What the drafts of all kinds of steps have in common: header, configuration, the bare step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dagster_models.core.checks import Check
from dagster_models.core.materializations import COPY
from dagster_models.core.model import (
    Column,
    Config,
    Key,
    Location,
    Reference,
    Relation,
    Step,
    StepKind,
)
from dagster_models.core.stand_ins import RESERVED, STARTED
from dagster_models.errors import Problem
from dagster_models.project.checks.keys import WORDS
from dagster_models.project.checks.read import Declarations, named_apart
from dagster_models.project.columns import read_columns
from dagster_models.project.config import EPHEMERAL, Values, build_config, merge, read_config
from dagster_models.project.described import NODES
from dagster_models.project.drafts.draft import DraftContext, NameUse
from dagster_models.project.files import ProjectFile
from dagster_models.project.folder_defaults import layers_for
from dagster_models.project.header import (
    Header,
    second_sql_header,
    unread_python_header,
    unread_sql_header,
)
from dagster_models.project.incremental import without_idle_keys
from dagster_models.project.problems import Report, concerning, problem
from dagster_models.project.yaml.fields import read_mapping
from dagster_models.project.yaml.jinja import jinja_in
from dagster_models.project.yaml.nodes import YamlNode, read_yaml
from dagster_models.sql.jinja import IN_LITERAL, jinja_in_literals
from dagster_models.sql.parsed import ParsedSql
from dagster_models.util.digests import digest_of
from dagster_models.util.nearest import suggest

_DECLARING = frozenset({"columns", "described", *WORDS})
_SYSTEM = "it belongs to the warehouse itself"
_RESERVED = {
    "dagster_models": "it holds the commit records, which prove what was published",
    "information_schema": _SYSTEM,
    "pg_catalog": _SYSTEM,
}


def key_of(file: ProjectFile, schema: str) -> Key:
    """The key of the step that *file* makes; *schema* is that of models outside of a folder."""
    if file.folder in ("scripts", "checks"):
        return Key(file.folder, file.name)
    if len(file.parts) > 1:
        return Key(file.parts[0], file.name)
    return Key(schema if file.folder == "models" else file.folder, file.name)


def new_step(
    file: ProjectFile,
    kind: StepKind,
    values: Values,
    context: DraftContext,
    *,
    sql: str = "",
    sql_line: int = 0,
) -> Step:
    """The step as its configuration describes it, without what its text says."""
    key = key_of(file, context.settings.schema)
    columns, checks = _declared(values, key, file, context)
    values = {"group": key.schema, **values}
    materialized = values.get("materialized", "table" if kind == "seed" else "view")
    values = without_idle_keys(values, materialized)
    config = build_config(values, columns, materialized=materialized)
    relation = None
    if kind != "script" and materialized != EPHEMERAL:
        relation = Relation(config.schema or key.schema, config.alias or key.name)
        _refuse_reserved(relation, file, context)
    return Step(
        key=key,
        kind=kind,
        location=Location(file.path),
        config=config,
        relation=relation,
        sql=sql,
        sql_line=sql_line,
        checks=checks,
        variables=variables_of(values, context),
        digest="" if kind == "sql" else digest_of(file.data),
    )


def _declared(
    values: Values, key: Key, file: ProjectFile, context: DraftContext
) -> tuple[tuple[Column, ...], tuple[Check, ...]]:
    """The columns and checks of a header, and what it lacks of those in YAML files."""
    if values.keys().isdisjoint(_DECLARING):
        return (), ()
    severity, report = values.get("severity", "error"), concerning(file.path, context.report)
    those = Declarations(key, severity, report, context.queries)
    columns, checks = _read_declared(values, those)
    if "described" not in values:
        return columns, named_apart(checks, context.report)
    more, others = _read_declared(values["described"], those)
    known = {column.name.lower(): column for column in more}
    filled = tuple(_filled(it, known.pop(it.name.lower(), it)) for it in columns)
    names = {check.name.lower() for check in checks}
    added = (check for check in others if check.name.lower() not in names)
    return (*filled, *known.values()), named_apart((*checks, *added), context.report)


def _read_declared(
    values: Values, those: Declarations
) -> tuple[tuple[Column, ...], tuple[Check, ...]]:
    columns, checks = read_columns(values.get("columns"), those)
    return columns, (*checks, *those.read(values.get(word) for word in WORDS))


def _filled(column: Column, other: Column) -> Column:
    description, type_ = column.description or other.description, column.type or other.type
    return replace(column, description=description, type=type_)


def _refuse_reserved(relation: Relation, file: ProjectFile, context: DraftContext) -> None:
    why = _RESERVED.get(relation.schema.lower())
    for target in context.settings.targets.values():
        own = target.type.own_schemas
        if own and (target.schema_prefix + relation.schema).lower().startswith(own):
            why = why or f"{target.type} keeps the names that begin with `{own}` for its own"
    if why is not None:
        what = f"the schema `{relation.schema}` is reserved: {why}"
        context.report(Problem(what, file.path, 1, 1, "Rename the folder, or set `schema:`."))


def variables_of(values: Values, context: DraftContext) -> dict[str, Any]:
    """The project's variables, the step's own ones before them, and what is given before all."""
    own = values.get("vars", {})
    return context.settings.variables.of_file(own, values.get("places_of_vars", {}), context.report)


# --- the header ------------------------------------------------------------------------------


def parse_header(header: Header | None, file: ProjectFile, report: Report) -> YamlNode | None:
    """The YAML of a header; None if there is none. What was meant as a header is reported."""
    if header is None:
        _report_unread_header(file, report)
        return None
    if file.ending != ".py" and (line := second_sql_header(file.text)) is not None:
        what = f"this header is ignored: the file has one already, in line {header.line}"
        report(Problem(what, file.path, line, 1, "Write all of it into one header."))
    node = read_yaml(header.yaml, file.path, report, first_line=header.line, file_text=file.text)
    if node is not None and not isinstance(node.value, dict):
        read_mapping(node, {}, report)  # reports that it is no mapping
        return None
    return node


def _report_unread_header(file: ProjectFile, report: Report) -> None:
    if file.ending == ".py":
        line = unread_python_header(file.text)
        fix = "Put it into the module's docstring, below a line `@model` (in scripts too)."
    else:
        line = unread_sql_header(file.text)
        fix = "Put it into a comment `/* @model ... */` at the top of the file."
    if line is not None:
        report(Problem("this header is ignored", file.path, line, 1, fix))


def configuration(header: YamlNode | None, file: ProjectFile, context: DraftContext) -> Values:
    """The defaults of the file's folders, what YAML files say of it, and the settings of its own
    header before them."""
    own = read_config(header, file.folder, context.report)
    node = header.value.get("vars") if header is not None else None
    if node is not None and isinstance(node.value, dict):
        own["places_of_vars"] = {name: item.place for name, _, item in node.items()}
    return layered(file, context, own)


def layered(file: ProjectFile, context: DraftContext, own: Values) -> Values:
    """All that is said of a file; *own* goes before the rest."""
    layers, said = layers_for(context.defaults, file), context.described.layers.get(file.path)
    if said is None:
        return merge((*layers, own))
    settings = {key: value for key, value in said.items() if key not in NODES}
    merged = merge((*layers, settings, own))
    if nodes := {key: value for key, value in said.items() if key in NODES}:
        merged["described"] = nodes
    return merged


# --- the names that a file uses --------------------------------------------------------------


def declared_uses(values: Values, key: str) -> tuple[NameUse, ...]:
    """The names in ``upstream:`` or ``downstream:``."""
    return tuple(
        NameUse(tuple(name.split(".")), name, place, may_be_script=True, required=True)
        for name, place, *_ in values.get(key, ())
    )


def use_of(reference: Reference, place: Location, check: str = "") -> NameUse:
    """The name that SQL uses at *place*."""
    return NameUse(
        reference.parts,
        reference.name,
        place,
        check=check,
        is_written=reference.written,
        certain=reference.certain,
        is_text=reference.in_string,
        is_call=reference.call,
    )


def suspected_uses(parsed: ParsedSql, place: Callable[[int, int], Location]) -> list[NameUse]:
    """The names that functions in FROM are given, which may read tables of these names."""
    return [
        NameUse(parts, ".".join(parts), place(line, column), certain=False, given_to=function)
        for line, column, function, parts in parsed.suspects
    ]


def is_reserved(name: str, config: Config) -> bool:
    """Whether a placeholder gets its value when the model is built."""
    if name in dict(config.arguments):
        return True
    if name == "since":
        return config.since is not None and config.materialized != COPY
    return name == STARTED or (config.partitions is not None and name in RESERVED)


def unset_variable(
    name: str, place: Location, known: Mapping[str, Any], *, elsewhere: bool = False
) -> Problem:
    """The problem of a variable without a value; *known* are those that have one. *elsewhere*: it
    is in the query of a copy."""
    fix = "Set it under `vars:` in dagster_models.yaml or in the header."
    if name == "since":
        fix = "Set `materialized: incremental` and `since: column` in the header."
        if elsewhere:
            fix = "Delete the condition: a copy with `since:` restricts its query by itself."
    elif name in RESERVED:
        fix = "Set `materialized: incremental` and `partitions:` in the header."
    elif known:
        fix = f"{suggest(name, known, 'Variables')} {fix}"
    return problem(f"the variable `{name}` has no value", place, fix)


def warn_of_jinja(text: str, place: Callable[[int, int], Location], context: DraftContext) -> None:
    """Warn of Jinja in literals, which nothing renders."""
    for line, column, written in jinja_in_literals(text, context.settings.dialect):
        what = f"{written} is sent as it is: nothing renders the Jinja in it"
        context.report(problem(what, place(line, column), IN_LITERAL, "warning"))


def warn_of_placeholder(sql: str, place: Location, report: Report) -> None:
    """Warn of `{{ name }}` in a literal of SQL in YAML, as in any other text of YAML."""
    found = jinja_in(sql)
    if found is not None and not found.is_error:
        report(problem(found.what, place, found.fix, "warning"))
