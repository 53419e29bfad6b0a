"""Ephemeral models: a query that stands in place of its name, in each query that reads it.

Such a model has no relation, and is neither an asset nor a step. What reads it depends on what it
reads. It is linked and traced like any other model, and then taken out of the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain

from dagster_models.core.model import Key, Location, Step
from dagster_models.project.config import EPHEMERAL
from dagster_models.project.drafts.draft import Draft, NameUse
from dagster_models.project.problems import Report, problem
from dagster_models.project.yaml.nodes import YamlNode

_AS_VIEW = "Make it a view (`materialized: view`)"
#: What a header says of a relation or of a step.
_IDLE = (
    *("alias", "schema", "severity", "pool", "priority"),
    *("retries", "on_error", "timeout", "freshness"),
)
_TABLE = re.compile(r"\btable\s*\Z", re.IGNORECASE)


def is_ephemeral(step: Step) -> bool:
    return step.config.materialized == EPHEMERAL


def check_header(step: Step, header: YamlNode | None, report: Report) -> None:
    """Report what the header of an ephemeral model says without effect."""
    written: Mapping[str, Location] = header.keys if header is not None else {}
    for key in _IDLE:
        if key in written:
            what = f"`{key}` has no effect on `materialized: {EPHEMERAL}`"
            fix = f"Delete the key. {_AS_VIEW} if it shall have a relation and a step of its own."
            report(problem(what, written[key], fix, "warning"))
    for check in step.checks:
        what = f"{step.key} is ephemeral, and the check `{check.name}` needs a relation"
        report(problem(what, check.location, f"{_AS_VIEW}, or check the models that read it."))


def check_uses(
    draft: Draft, resolved: Mapping[str, Key], drafts: Mapping[Key, Draft], report: Report
) -> None:
    """Report what a file does with ephemeral models that a query in their place cannot do, and what
    an ephemeral model reads that could be something else in the place where its query stands."""
    step = draft.step
    for use in draft.uses:
        key = resolved.get(use.written)
        if key is None or key not in drafts or not is_ephemeral(drafts[key].step):
            continue
        if use.is_written:
            what = f"`{use.written}` is written to, but it is ephemeral: it has no table"
            report(problem(what, use.place, "Write to another table."))
        elif use.is_text:
            refuse_as_text(use, report)
    for place in _table_statements(step, resolved, drafts):
        what = "`TABLE name` takes no query in place of the name, and this model is ephemeral"
        report(problem(what, place, "Write `select * from name`."))
    if is_ephemeral(step):
        for reference in step.references:
            known = reference.name in resolved or not reference.certain
            if len(reference.parts) == 1 and not known:
                name = reference.name
                what = f"`{name}` may mean something else in the queries that read {step.key}:"
                what += " an ephemeral model stands in them, and they may have a CTE of that name"
                fix = f"Write its schema (`schema.{name}`), or declare it in models/sources.yaml."
                place = Location(step.location.path, reference.line, reference.column)
                report(problem(what, place, fix))


def refuse_as_text(use: NameUse, report: Report) -> None:
    """Report that the name of an ephemeral model stands in a text, such as that of a table."""
    what = f"`{use.written}` is ephemeral, so no relation has this name"
    fix = f"{_AS_VIEW}, or name it in the SQL itself: `select * from {use.written}`."
    report(problem(what, use.place, fix))


def _table_statements(
    step: Step, resolved: Mapping[str, Key], drafts: Mapping[Key, Draft]
) -> Iterator[Location]:
    for reference in step.references if step.kind == "sql" else ():
        key = resolved.get(reference.name)
        if key is not None and key in drafts and is_ephemeral(drafts[key].step):
            for text in filter(None, (step.sql, step.full_sql)):
                if _TABLE.search(text, 0, reference.start):
                    yield Location(step.location.path, reference.line, reference.column)
                    break


def taken_out(steps: Mapping[Key, Step]) -> tuple[dict[Key, Step], dict[Key, Step]]:
    """The steps that run, which depend on what the ephemeral models read, and these models.

    *steps* are in topological order.
    """
    inside = {key: step for key, step in steps.items() if is_ephemeral(step)}
    if not inside:
        return dict(steps), {}
    every: dict[Key, Step] = {}
    for key, step in steps.items():
        read = (every[up].upstream if up in inside else (up,) for up in step.upstream)
        upstream = tuple(dict.fromkeys(chain.from_iterable(read)))
        every[key] = replace(step, upstream=upstream)
    kept = {key: step for key, step in every.items() if key not in inside}
    return kept, {key: every[key] for key in inside}
