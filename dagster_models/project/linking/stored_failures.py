"""The tables in which checks store what they find: each must belong to one check alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dagster_models.core.model import Relation, Source, Step
from dagster_models.project.problems import Report, problem


def refuse_shared_tables(steps: Iterable[Step], sources: Iterable[Source], report: Report) -> None:
    """Report two checks that would store their rows in one table, and one whose table is that of a
    model or source. Case does not tell names apart."""
    steps = tuple(steps)
    taken = {_folded(it.relation): str(it.key) for it in sources}
    taken |= {_folded(it.relation): str(it.key) for it in steps if it.relation is not None}
    for step in steps:
        for check in step.checks:
            if check.store_failures and step.relation is not None:
                table = replace(step.relation, name=check.stored_as)
                its_own = f"the check `{check.name}` of {step.key}"
                other = taken.setdefault(_folded(table), its_own)
                if other != its_own:
                    what = f"{its_own} stores rows in {table}, which is the table of {other}"
                    fix = "Give the check another name: `name: ...`."
                    report(problem(what, check.location, fix))


def _folded(relation: Relation) -> tuple[str, str]:
    return relation.schema.lower(), relation.name.lower()
