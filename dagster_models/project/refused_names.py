"""Names that the warehouse of a target refuses, or would cut: reported when a project is loaded,
and not by the step that builds them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dagster_models.core.checks import Check
from dagster_models.core.model import Key, Location, Step, Target
from dagster_models.errors import Problem
from dagster_models.project.problems import Report, place_of, problem

_SCHEMA = "Rename the folder, set `schema:`, or give the target another `schema_prefix`."
_RELATION = "Rename the file, or set `alias:`."
_COLUMN = "Give the column another name."


def report_refused_names(steps: Mapping[Key, Step], target: Target | None, report: Report) -> None:
    """Report what is wrong with the names of all that *steps* make on *target*."""
    if target is None or target.type.why_no_name is None:
        return
    for step in steps.values():
        for found in refused_names(step, target):
            report(found)
        for check in step.checks:
            if check.store_failures and check.model in steps:  # nothing is stored beside a source
                _warn_of_table(check, target, report)


def refused_names(step: Step, target: Target) -> Iterator[Problem]:
    """The names of a step's schema, relation and columns that cannot be there."""
    why_not, why_no_column = target.type.why_no_name, target.type.why_no_column
    if step.relation is not None and why_not is not None:
        for key, what, name, fix in (
            ("schema", "a schema", target.schema_prefix + step.relation.schema, _SCHEMA),
            ("alias", "a relation", step.relation.name, _RELATION),
        ):
            if why := why_not(name):
                yield problem(_wrong(name, what, target, why), place_of(key, step), fix)
    if why_no_column is not None and step.kind in ("sql", "seed"):
        for name, _ in step.trace.schema.columns:
            place = _place_of(name, step) if (why := why_no_column(name)) else None
            if place is not None:
                yield problem(_wrong(name, "a column", target, why), place, _COLUMN)


def _warn_of_table(check: Check, target: Target, report: Report) -> None:
    """Warn of a table in which a check cannot store rows: what it finds counts all the same."""
    why_not = target.type.why_no_name
    if why_not is not None and (why := why_not(check.stored_as)):
        what = f"the rows of the check `{check.name}` are not stored: "
        what += _wrong(check.stored_as, "a relation", target, why)
        report(problem(what, check.location, "Give the check another `name:`.", "warning"))


def _place_of(column: str, step: Step) -> Location | None:
    """Where the text of a step has the column first. None for one that `*` takes from a source:
    the source has it by another name than its YAML says, as the warehouse has none like that."""
    if step.kind == "seed":
        return step.location
    found = re.search(rf"(?<![\w$]){re.escape(column)}(?![\w$])", step.sql, re.IGNORECASE)
    if found is None:
        return None
    if step.sql_line:
        return step.location
    return step.place(step.sql.count("\n", 0, found.start()) + 1)


def _wrong(name: str, what: str, target: Target, why: str) -> str:
    return f"`{name}` cannot be the name of {what} on the target `{target.name}`: {why}"
