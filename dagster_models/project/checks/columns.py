"""Reports checks of columns that do not exist, or of values that these cannot have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from dagster_models.core.checks import Check, NamedArgument
from dagster_models.core.freshness import FRESHNESS
from dagster_models.core.model import Key, Location, Source, Step
from dagster_models.core.stand_ins import OWN_RELATION, own_column
from dagster_models.core.traced import ColumnProblem, Schema, Trace, TraceRequest, Upstream
from dagster_models.project.checks.conditions import conditions_of
from dagster_models.project.checks.kinds import KINDS
from dagster_models.project.problems import Report, problem
from dagster_models.util.nearest import suggest

Owner = Step | Source
UpstreamOf = Callable[[Owner], Mapping[str, Upstream]]
ReportIt = Callable[[ColumnProblem, Location], None]


def find_columns_of_checks(
    owners: Sequence[Owner],
    schemas: Mapping[Key, Schema],
    upstream_of: UpstreamOf,
    trace: Callable[[Sequence[TraceRequest]], Sequence[Trace]],
    dialect: str,
    report: ReportIt,
) -> None:
    """Look for the columns that the checks of *owners* name, and those that their SQL uses."""
    checks = [(check, owner) for owner in owners for check in owner.checks]
    texts: list[tuple[TraceRequest, Check, bool]] = []
    for check, owner in checks:
        _find_named(check, owner, schemas, report)
        _find_values(check, schemas, report)
        if check.test == "query" and not check.arguments:
            request = TraceRequest(check.text, dialect, upstream_of(owner))
            texts.append((request, check, True))
        if check.test == FRESHNESS and check.text:
            texts.append((TraceRequest(check.text, dialect, upstream_of(owner)), check, False))
        texts += [
            (TraceRequest(text, dialect, upstream), check, False)
            for text, upstream in _conditions(check, owner, schemas, upstream_of)
        ]
    found = trace([request for request, *_ in texts])
    for (_, check, is_file), trace_ in zip(texts, found, strict=True):
        place = check.location
        for it in trace_.problems:
            if is_file:
                report(it, Location(place.path, it.line, it.column))
            else:
                report(replace(it, what=f"the check `{check.name}`: {it.what}"), place)


def with_compared(owner: Owner, schemas: Mapping[Key, Schema], report: Report) -> tuple[Check, ...]:
    """The checks of *owner*. An equality that does not say which columns it compares gets all that
    its relation has, which must be known."""
    return tuple(
        _with_all(check, schemas.get(check.model, Schema()), report)
        if check.test == "equality" and "columns" not in check.arguments
        else check
        for check in owner.checks
    )


def _with_all(check: Check, schema: Schema, report: Report) -> Check:
    left_out = {name.lower() for name in check.arguments.get("except", ())}
    columns = tuple(name for name, _ in schema.columns if name.lower() not in left_out)
    if not columns or not schema.closed:
        what = (
            f"the check `{check.name}` compares all columns of {check.model}, which are not known"
        )
        report(problem(what, check.location, "Name them: `columns: [a, b]`."))
    return replace(check, arguments={**check.arguments, "columns": columns, "whole": not left_out})


def _conditions(
    check: Check, owner: Owner, schemas: Mapping[Key, Schema], upstream_of: UpstreamOf
) -> Iterator[tuple[str, dict[str, Upstream]]]:
    """Each condition as a query, and what the names in it mean."""
    for condition in conditions_of(check):
        key = owner.resolved.get(condition.relation) if condition.relation else check.model
        if key is None:
            continue  # reported already
        text = condition.query
        for number, column in enumerate(check.columns):
            text = text.replace(own_column(number), column)
        own = Upstream((key.schema, key.name), schemas.get(key, Schema()))
        yield text, {**upstream_of(owner), OWN_RELATION: own}


def _find_named(
    check: Check, owner: Owner, schemas: Mapping[Key, Schema], report: ReportIt
) -> None:
    kind, given = KINDS.get(check.test), check.arguments
    wanted = [(check.model, column) for column in check.columns]
    for name in kind.columns if kind is not None else ():
        wanted += [(check.model, column) for column in given.get(name, ())]
    for value in given.values():
        if isinstance(value, NamedArgument) and value.sort != "relation":
            wanted += [(check.model, column) for column in value.names]
    for name in ("field", "columns") if kind is not None and "to" in given else ():
        named = given.get(name, ())
        to = owner.resolved.get(given["to"])
        if to is not None:
            wanted += [(to, column) for column in ([named] if isinstance(named, str) else named)]
    if given.get("whole") and given["columns"]:
        _find_others(check, owner, schemas, report)
    for key, name in dict.fromkeys(wanted):
        schema = schemas.get(key, Schema())
        names = [column for column, _ in schema.columns]
        if schema.closed and name.lower() not in {column.lower() for column in names}:
            what = f"the check `{check.name}` checks `{name}`, a column that {key} does not have"
            place, fix = check.location, suggest(name, names, "Columns")
            found = ColumnProblem(what, place.line, place.column, fix, schema.certain, missing=name)
            report(found, place)


def _find_values(check: Check, schemas: Mapping[Key, Schema], report: ReportIt) -> None:
    """Report a list with something else than true and false for a column of booleans: no warehouse
    could mean it."""
    if check.test not in ("accepted_values", "rejected_values"):
        return
    schema = schemas.get(check.model, Schema())
    types = {name.lower(): type_.lower() for name, type_ in schema.columns}
    if types.get(check.columns[0].lower()) not in ("boolean", "bool"):
        return
    for value in check.arguments["values"]:
        if value is not None and str(value).lower() not in ("true", "false"):
            what = (
                f"the check `{check.name}` lists {value!r}, and `{check.columns[0]}` is a boolean"
            )
            place, fix = check.location, "Write true or false."
            report(ColumnProblem(what, place.line, place.column, fix, schema.certain), place)


def _find_others(
    check: Check, owner: Owner, schemas: Mapping[Key, Schema], report: ReportIt
) -> None:
    """Report columns that only the other one of two relations has which must be equal."""
    to = owner.resolved.get(check.arguments["to"])
    schema = schemas.get(to, Schema()) if to is not None else Schema()
    own = {name.lower() for name in check.arguments["columns"]}
    for name in [name for name, _ in schema.columns if name.lower() not in own]:
        what = f"the check `{check.name}` compares all columns, and only {to} has `{name}`"
        fix = "Name those to compare: `columns: [a, b]`."
        place = check.location
        report(ColumnProblem(what, place.line, place.column, fix, schema.certain), place)
