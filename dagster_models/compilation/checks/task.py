"""A check of a step or source on a target -> its CheckTask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.compilation.checks.freshness import freshness, of_query
from dagster_models.compilation.checks.function import function
from dagster_models.compilation.checks.parts import CheckParts, CheckSql, Other, stand_ins
from dagster_models.compilation.checks.stored import store_of
from dagster_models.compilation.checks.table import COMPILERS
from dagster_models.compilation.sql_text import (
    compile_check_text,
    dialect_on,
    in_place,
    relation_sql,
)
from dagster_models.core.check_tasks import CheckTask, OtherColumns
from dagster_models.core.checks import Check, NamedArgument, checks_of
from dagster_models.core.freshness import FRESHNESS
from dagster_models.core.model import Key, Project, Source, Step, Target
from dagster_models.core.stand_ins import OWN_RELATION
from dagster_models.project.checks.conditions import condition_in, conditions_of
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.checks.queries import THIS
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.fill_in import PlainSql


def check_task(
    project: Project,
    owner: Step | Source,
    check: Check,
    target: Target,
    history: Sequence[float] = (),
) -> CheckTask:
    """A check of *owner*. Its SQL selects the offending rows, as dbt's tests do. *history*: what it
    has found after earlier builds, in the order of time.

    OWN_RELATION and ``own_column`` stand in it for the relation and the columns that it is about:
    see ``CheckTask.sent``.
    """
    if check.model != owner.key:
        return _of_another(project, check, target)
    step, dialect = _as_step(owner), dialect_on(project, target)
    named = dict(_named_columns(check, project))
    columns = (*check.columns, *(column for names in named.values() for column in names))
    fields = _fields_of_others(check, named)
    conditions = {
        it.key: condition_in(compile_check_text(project, step, it.query, target))
        for it in conditions_of(check)
    }
    parts = CheckParts(
        stand_ins(0, len(check.columns)),
        _placed(named, len(check.columns)),
        check.arguments,
        conditions,
        _others(project, step, check, target, stand_ins(len(columns), len(fields))),
        conditions.get("where", ""),
        target.type.value_forms,
        dialect,
        check.scope == "window",
        history,
    )
    found = _sql_of(project, step, check, target, parts)
    return CheckTask(
        check.name,
        found.sql,
        check.severity,
        tuple(folded(column, dialect) for column in columns),
        found.alike,
        found.across,
        condition=found.condition,
        where=parts.scope,
        number=found.number,
        warn_if=check.warn_if,
        error_if=check.error_if,
        scope=check.scope or ("window" if found.condition else "table"),
        limit=check.limit,
        store=store_of(project, check, target),
        code=function(project, step, check, target),
        others=tuple(
            OtherColumns(other.sql, tuple(folded(field, dialect) for field in fields))
            for other in parts.others.values()
            if fields
        ),
    )


def _of_another(project: Project, check: Check, target: Target) -> CheckTask:
    """A check that runs with another step than the one that it is about: see
    ``project.linking.checks``. The relation that it is about is there under its own name."""
    key = check.model
    task = check_task(project, project.steps.get(key) or project.sources[key], check, target)
    name = relation_sql(project, key, target)

    def by_name(sql: str) -> str:
        return CheckTask.sent(sql, name, ())

    others = [replace(it, relation=by_name(it.relation)) for it in task.others]
    if task.columns:
        others.insert(0, OtherColumns(name, task.columns))
    return replace(
        task.with_sql(by_name),
        columns=(),
        condition="",  # no scan of the step's rows can count those of another one
        where="",
        scope="table",
        others=tuple(others),
    )


def _as_step(owner: Step | Source) -> Step:
    """What the text of a check is compiled for."""
    return owner if isinstance(owner, Step) else checks_of(owner)


def _named_columns(check: Check, project: Project) -> Iterator[tuple[str, Sequence[str]]]:
    """The columns of its own relation that a check's arguments name, by argument."""
    for name, value in check.arguments.items():
        if isinstance(value, NamedArgument) and value.sort != "relation":
            yield name, value.names
    if check.test == "equality":
        yield "compared", _compared(check, project)
    elif check.test in KINDS:
        for name in KINDS[check.test].columns:
            if name in check.arguments:
                yield name, check.arguments[name]


def _compared(check: Check, project: Project) -> Sequence[str]:
    """The columns that an equality compares: of a source, all that are declared."""
    if "columns" in check.arguments:
        named: Sequence[str] = check.arguments["columns"]
        return named
    left_out = {name.lower() for name in check.arguments.get("except", ())}
    columns = project.sources[check.model].columns
    return [column.name for column in columns if column.name.lower() not in left_out]


def _placed(named: Mapping[str, Sequence[str]], first: int) -> dict[str, Sequence[str]]:
    placed: dict[str, Sequence[str]] = {}
    for name, columns in named.items():
        placed[name] = stand_ins(first, len(columns))
        first += len(columns)
    return placed


def _fields_of_others(check: Check, named: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The columns of another relation that a check's arguments name."""
    if check.test == "equality":
        return named["compared"]
    kind = KINDS.get(check.test)
    has_field = kind is not None and kind.relations and "field" in check.arguments
    return [check.arguments["field"]] if has_field else []


def _others(
    project: Project,
    step: Step,
    check: Check,
    target: Target,
    columns: Sequence[str],
) -> dict[str, Other]:
    """The other relations that a check's arguments name, by argument. *columns* stand for theirs; a
    kind that names columns of another relation has only one of these."""
    found, kind = {}, KINDS.get(check.test)
    for name in kind.relations if kind is not None else ():
        if name in check.arguments:
            key = step.resolved[check.arguments[name]]
            found[name] = Other(_relation(project, step, key, target), columns)
    return found


def _relation(project: Project, step: Step, key: Key, target: Target) -> str:
    if key in project.ephemerals:
        return in_place(project, key, target)
    return OWN_RELATION if key == step.key else relation_sql(project, key, target)


def _sql_of(
    project: Project, step: Step, check: Check, target: Target, parts: CheckParts
) -> CheckSql:
    if check.function is not None:
        return CheckSql("")
    if check.test == "query":
        return _query(project, step, check, target, parts)
    if check.test == FRESHNESS:
        query = compile_check_text(project, step, check.text, target) if check.text else ""
        return of_query(query, parts.forms) if query else freshness(parts)
    return COMPILERS[check.test](parts)


def _query(
    project: Project, step: Step, check: Check, target: Target, parts: CheckParts
) -> CheckSql:
    """The user's own query, with the arguments of this check filled in."""
    variables: dict[str, object] = {THIS: PlainSql(parts.own)} if check.arguments else {}
    for name, value in check.arguments.items():
        if not isinstance(value, NamedArgument):
            variables[name] = value
        elif value.sort == "relation":
            key = step.resolved[value.names[0]]
            variables[name] = PlainSql(_relation(project, step, key, target))
        else:
            variables[name] = PlainSql(", ".join(parts.named[name]))
    return CheckSql(compile_check_text(project, step, check.text, target, variables))


def folded(name: str, dialect: str) -> str:
    """A column that YAML names.

    Nobody writes quotes in YAML, so a plain name is folded as the warehouse folds unquoted names.
    """
    simple = name.replace("_", "a").isalnum() and not name[:1].isdigit() and name.isascii()
    return dialect_of(dialect).column(name) if simple else name
