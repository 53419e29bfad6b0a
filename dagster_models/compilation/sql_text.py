"""The SQL to send: the user's own text, with names and variables filled in for one target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from dagster_models.core.materializations import argument_name
from dagster_models.core.model import EMPTY, Key, Project, Reference, Relation, Step, Target
from dagster_models.core.stand_ins import (
    BOUNDS,
    KEYS,
    OWN_RELATION,
    SINCE,
    STARTED,
    TYPES,
    stand_in,
)
from dagster_models.errors import BrokenFile, Problem, UnreadableSql
from dagster_models.sql.fill_in import PlainSql, compile_sql, literal, quote
from dagster_models.sql.parsed import ParsedSql

RelationOf: TypeAlias = Callable[[Reference], "str | None"]


def relation_for(project: Project, key: Key, target: Target) -> Relation:
    """The full relation of a step or source on *target*. Sources get no schema prefix.

    Raises KeyError if there is no such key, ValueError for a script, which has no relation, and
    BrokenFile for a step whose file does not say what its relation is.
    """
    if key not in project.steps:
        return project.sources[key].relation
    step = project.steps[key]
    relation = step.relation
    if relation is None and step.problems:
        raise BrokenFile(step.problems, f"{key} is read, and its file is wrong")
    if relation is None:
        raise ValueError(f"{key} is a script: it has no relation")
    schema = target.schema_prefix + relation.schema
    catalog = relation.catalog or (target.catalog if target.is_ambiguous(schema) else None)
    return Relation(schema, relation.name, catalog)


def dialect_on(project: Project, target: Target) -> str:
    """The dialect for names and values. The user's text is parsed in the project's own."""
    return target.type.dialect or project.dialect


def literal_on(project: Project, target: Target, value: object) -> str:
    """A value as SQL of *target*."""
    return literal(value, dialect_on(project, target))


def relation_sql(project: Project, key: Key, target: Target) -> str:
    """The relation of ``relation_for`` as quoted SQL."""
    return _quoted(relation_for(project, key, target), project, target)


def _quoted(relation: Relation, project: Project, target: Target) -> str:
    parts = (relation.catalog, relation.schema, relation.name)
    return ".".join(quote(part, dialect_on(project, target)) for part in parts if part)


def compile_step(project: Project, step: Step, target: Target, *, full: bool = False) -> str:
    """The SQL to send for a step of kind "sql"; ``full``: where the whole relation is built.

    Raises ValueError for other kinds.
    """
    if step.kind != "sql":
        raise ValueError(f"{step.key} is a {step.kind}: it has no SQL of its own")
    text = step.full_sql if full and step.full_sql else step.sql
    in_view = step.config.materialized == "view"
    cut: tuple[slice, ...] = ()
    if step.config.returns and not step.config.returns[0][0]:  # one value
        from dagster_models.sql.parse import beside_expression

        cut = beside_expression(text, project.dialect)
    return _compiled(project, step, text, target, queries_only=True, in_view=in_view, cut=cut)


def compile_text(project: Project, step: Step, text: str, target: Target) -> str:
    """The SQL to send for *text*, a literal in the Python file of *step*; any statement will do.

    Raises SqlSyntaxError if it does not parse or names an unknown variable.
    """
    return _compiled(project, step, text, target, queries_only=False)


def compile_statement(project: Project, step: Step, text: str, target: Target) -> str:
    """The same for a statement beside the query of *step*, in which `$this` is its relation."""
    return _compiled(project, step, text, target, queries_only=False, of_query=False)


def compile_check_text(
    project: Project,
    step: Step,
    text: str,
    target: Target,
    variables: Mapping[str, object] = EMPTY,
    *,
    queries_only: bool = True,
) -> str:
    """The SQL to send for a query of a check of *step*, in which OWN_RELATION stands for the
    relation of *step*. *variables* are those of the check itself."""
    return _compiled(
        project,
        step,
        text,
        target,
        queries_only=queries_only,
        of_check=True,
        own_variables=variables,
    )


def compile_tables(project: Project, step: Step, target: Target) -> dict[str, str]:
    """The SQL on *target* for each name of a relation, as written in the file of *step*."""
    return {
        name: relation_sql(project, key, target)
        for name, key in step.resolved.items()
        if _has_relation(project, key)
    }


def _has_relation(project: Project, key: Key) -> bool:
    step = project.steps.get(key)
    return key in project.sources or (step is not None and step.relation is not None)


def _compiled(
    project: Project,
    step: Step,
    text: str,
    target: Target,
    *,
    queries_only: bool,
    of_check: bool = False,
    in_view: bool = False,
    of_query: bool = True,
    cut: Sequence[slice] = (),
    own_variables: Mapping[str, object] = EMPTY,
) -> str:
    if of_query and not of_check:
        _refuse_other_target(step, target)
    relation_of = _relation_of(project, step, text, target, of_check, in_view)
    parsed = parsed_text(project, text, queries_only=queries_only)
    if step.full_sql and of_query and not of_check:
        parsed, relation_of = _as_long(project, step, text, parsed, relation_of)
    dialect = dialect_on(project, target)
    variables = step.variables if of_check or not of_query else _reserved(step, dialect)
    variables = {**variables, **own_variables}
    if not of_query:
        variables = {"this": PlainSql(relation_sql(project, step.key, target)), **variables}
    return compile_sql(
        text,
        parsed,
        project.dialect,
        relation_of,
        variables,
        literals=dialect,
        function_of=relation_of,
        cut=cut,
    )


def _refuse_other_target(step: Step, target: Target) -> None:
    """Raise BrokenFile if a template asked about another target: its text may differ here."""
    rendered = step.template.target if step.template is not None else ""
    if rendered and rendered != target.name:
        what = f"the template asks for `target`, and was rendered for the target {rendered}"
        fix = f"Set DAGSTER_MODELS_TARGET={target.name} where the project is loaded."
        raise BrokenFile([Problem(what, step.location.path, fix=fix)])


def _as_long(
    project: Project, step: Step, text: str, parsed: ParsedSql, relation_of: RelationOf
) -> tuple[ParsedSql, RelationOf]:
    """One reading of a text that has two, with as many lines as the other one: what only that
    reads, and where a query stands in place of a name, is followed by that query's line ends. So a
    line that an error names is the same place in both."""
    seen = {reference.start for reference in parsed.references}
    others = {
        reference.start: replace(reference, aliased=True)
        for reference in step.references
        if reference.start not in seen and step.resolved.get(reference.name) in project.ephemerals
    }

    def of_both(reference: Reference) -> str | None:
        found = relation_of(reference)
        if reference.start not in others or found is None:
            return found
        return text[reference.start : reference.end] + "\n" * found.count("\n")

    return replace(parsed, references=(*parsed.references, *others.values())), of_both


def bound_literal(project: Project, step: Step, name: str) -> str:
    """The first literal that a comment `/*$name*/` of the step's SQL binds, "" if there is none."""
    for text in filter(None, (step.full_sql, step.sql, *step.queries)):
        parsed = parsed_text(project, text, queries_only=step.kind == "sql")
        for holder in parsed.placeholders:
            if holder.name == name and holder.is_bound(text):
                return text[holder.start : holder.end]
    return ""


def parsed_text(project: Project, text: str, *, queries_only: bool) -> ParsedSql:
    """What a text of the project says, as its load has read it."""
    key = (text, project.dialect, queries_only)
    known: ParsedSql | None = project.texts.get(key)
    if known is not None:
        return known
    from dagster_models.sql.parse import parse_sql
    from dagster_models.sql.unread import read_tokens

    try:
        return parse_sql(*key)
    except UnreadableSql:  # a project that does not allow these would not have been loaded
        return read_tokens(text, project.dialect)


def _reserved(step: Step, dialect: str) -> dict[str, object]:
    """The variables, with what stands in the SQL for values that are known only when it is sent, or
    called."""
    found: dict[str, object] = {STARTED: PlainSql(stand_in(STARTED), _typed(STARTED))}
    found |= step.variables
    if step.config.since is not None:
        found["since"] = PlainSql(SINCE)
    if step.config.partitions is not None:
        found |= {name: PlainSql(stand_in(name), _typed(name)) for name in BOUNDS}
        found |= {name: PlainSql(stand_in(name)) for name in KEYS}
    # DuckDB 1.5 has no types of arguments in its files, and PostgreSQL no digits of them.
    found |= {
        name: PlainSql(f"CAST({quote(argument_name(name), dialect)} AS {type_})")
        for name, type_ in step.config.arguments
    }
    return found


def _typed(name: str) -> dict[str, str]:
    typed = {type_: stand_in(name, type_) for type_ in TYPES}
    return {
        **typed,
        "timestamp with time zone": typed["timestamptz"],
        "timestamp without time zone": typed["timestamp"],
    }


def _relation_of(
    project: Project, step: Step, text: str, target: Target, of_check: bool, in_view: bool
) -> RelationOf:
    temporary = step.queries.get(text, frozenset())

    def relation_of(reference: Reference) -> str | None:
        key = step.resolved.get(reference.name)
        if key is None or reference.name.lower() in temporary:
            return None
        if of_check and key == step.key and not reference.in_string:
            return OWN_RELATION
        if key in project.ephemerals:
            return in_place(project, key, target, in_view)
        relation = relation_for(project, key, target)
        name = _quoted(relation, project, target)
        is_full = relation.catalog is not None and not reference.in_string and not reference.call
        if in_view and is_full and target.is_ambiguous(relation.schema):
            # DuckDB 2 drops the catalog from the text of a view that it stores, and then refuses
            # what is left. It leaves strings alone.
            return f"query({literal(f'from {name}', dialect_on(project, target))})"
        return name

    return relation_of


def in_place(project: Project, key: Key, target: Target, in_view: bool = False) -> str:
    """The query of an ephemeral model, as an item of FROM."""
    step = project.ephemerals[key]
    sql = _compiled(project, step, step.sql, target, queries_only=True, in_view=in_view)
    return f"(\n{sql}\n)"
