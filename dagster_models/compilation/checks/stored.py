"""Where the rows that fail a check are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dagster_models.compilation.sql_text import relation_for
from dagster_models.core.checks import Check
from dagster_models.core.model import Project, Relation, Step, Target


def store_of(project: Project, step: Step, check: Check, target: Target) -> Relation | None:
    """The table of a check that stores what it finds, beside the relation that it is about."""
    if not check.store_failures:
        return None
    return replace(relation_for(project, step.key, target), name=check.stored_as)


def stores(project: Project, target: Target) -> Iterator[Relation]:
    """Those of all checks of the project's models."""
    for step in project.steps.values():
        for check in step.checks:
            found = store_of(project, step, check, target)
            if found is not None:
                yield found
