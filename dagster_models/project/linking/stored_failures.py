"""The tables in which checks store what they find: each must belong to one check alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dagster_models.core.model import Source, Step
from dagster_models.project.problems import Report, problem


def refuse_shared_tables(steps: Iterable[Step], sources: Iterable[Source], report: Report) -> None:
    """Report two checks that would store their rows in one table, and one whose table is that of a
    model or source. Case does not tell names apart."""
    steps = tuple(steps)
    taken = {it.relation.folded: str(it.key) for it in sources}
    built = {it.key: it.relation for it in steps if it.relation is not None}
    taken |= {relation.folded: str(key) for key, relation in built.items()}
    for step in steps:
        for check in step.checks:
            beside = built.get(check.model)  # which is not that of a step that only runs it
            if check.store_failures and beside is not None:
                table = replace(beside, name=check.stored_as)
                its_own = f"the check `{check.name}` of {step.key}"
                other = taken.setdefault(table.folded, its_own)
                if other != its_own:
                    what = f"{its_own} stores rows in {table}, which is the table of {other}"
                    fix = "Give the check another name: `name: ...`."
                    report(problem(what, check.location, fix))
