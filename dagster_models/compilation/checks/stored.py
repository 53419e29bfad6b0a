"""Where the rows that fail a check are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dagster_models.compilation.sql_text import relation_for
from dagster_models.core.checks import Check
from dagster_models.core.model import Project, Relation, Target


def store_of(project: Project, check: Check, target: Target) -> Relation | None:
    """The table of a check that stores what it finds: beside the relation that it is about, also
    where it runs with another step. None if it stores nothing, or if that relation is not built
    here: nothing is written beside a source."""
    if not check.store_failures or check.model not in project.steps:
        return None
    return replace(relation_for(project, check.model, target), name=check.stored_as)


def stores(project: Project, target: Target) -> Iterator[Relation]:
    """Those of all checks of the project's models."""
    for step in project.steps.values():
        for check in step.checks:
            found = store_of(project, check, target)
            if found is not None:
                yield found
