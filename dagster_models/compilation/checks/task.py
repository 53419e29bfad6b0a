"""A check of a step or source on a target -> its CheckTask."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.compilation.checks.freshness import freshness, of_query
from dagster_models.compilation.checks.function import function, with_sql
from dagster_models.compilation.checks.parts import CheckParts, CheckSql, Other, stand_ins
from dagster_models.compilation.checks.stored import store_of
from dagster_models.compilation.checks.table import COMPILERS
from dagster_models.compilation.sql_text import (
    compile_check_text,
    dialect_on,
    in_place,
    relation_sql,
)
from dagster_models.core.check_tasks import OWN_RELATION, CheckTask
from dagster_models.core.checks import Check, NamedArgument, checks_of
from dagster_models.core.freshness import FRESHNESS
from dagster_models.core.model import Key, Project, Source, Step, Target
from dagster_models.project.checks.conditions import condition_in, conditions_of
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.checks.queries import THIS
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.fill_in import PlainSql
from dagster_models.sql.parse import quote


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
    conditions = {
        it.key: condition_in(compile_check_text(project, step, it.query, target))
        for it in conditions_of(check)
    }
    parts = CheckParts(
        stand_ins(0, len(check.columns)),
        _placed(named, len(check.columns)),
        check.arguments,
        conditions,
        _others(project, step, check, target, named),
        conditions.get("where", ""),
        target.type.value_forms,
        dialect,
        check.scope == "window",
        history,
    )
    if check.function is not None:
        found = CheckSql("")
    elif check.test == "query":
        found = _query(project, step, check, target, parts)
    elif check.test == FRESHNESS:
        query = compile_check_text(project, step, check.text, target) if check.text else ""
        found = of_query(query) if query else freshness(parts)
    else:
        found = COMPILERS[check.test](parts)
    columns = (*check.columns, *(column for names in named.values() for column in names))
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
    )


def _of_another(project: Project, check: Check, target: Target) -> CheckTask:
    """A check that runs with another step than the one that it is about: see
    ``project.linking.checks``. The relation that it is about is there under its own name."""
    key, dialect = check.model, dialect_on(project, target)
    task = check_task(project, project.steps.get(key) or project.sources[key], check, target)
    columns = [_column_of(project, key, column, dialect) for column in task.columns]
    name = relation_sql(project, key, target)
    sql, alike, across, number = (
        CheckTask.sent(text, name, columns)
        for text in (task.sql, task.alike, task.across, task.number)
    )
    return replace(
        task,
        sql=sql,
        columns=(),
        alike=alike,
        across=across,
        number=number,
        code=task.code and with_sql(task.code, lambda sql: CheckTask.sent(sql, name, ())),
        condition="",  # no scan of the step's rows can count those of another one
        where="",
        scope="table",
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


def _others(
    project: Project,
    step: Step,
    check: Check,
    target: Target,
    named: Mapping[str, Sequence[str]],
) -> dict[str, Other]:
    """The other relations that a check's arguments name, by argument."""
    found, kind = {}, KINDS.get(check.test)
    for name in kind.relations if kind is not None else ():
        if name in check.arguments:
            key = step.resolved[check.arguments[name]]
            fields = {"field": check.arguments["field"]} if "field" in check.arguments else {}
            fields |= {column: column for column in named.get("compared", ())}
            columns = {
                label: _column_of(project, key, column, dialect_on(project, target))
                for label, column in fields.items()
            }
            found[name] = Other(_relation(project, step, key, target), columns)
    return found


def _relation(project: Project, step: Step, key: Key, target: Target) -> str:
    if key in project.ephemerals:
        return in_place(project, key, target)
    return OWN_RELATION if key == step.key else relation_sql(project, key, target)


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


def _column_of(project: Project, key: Key, name: str, dialect: str) -> str:
    """A column of another relation that YAML names, as SQL. A seed or a frame keeps the case of its
    columns' names."""
    step = project.steps.get(key)
    kept = step.trace.columns if step is not None and step.kind in ("seed", "python") else ()
    names = [column.name for column in kept if column.name.lower() == name.lower()]
    return quote(names[0] if names else folded(name, dialect), dialect)
