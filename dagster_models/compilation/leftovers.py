"""What a project has built on a target and no model builds any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dagster_models.compilation.checks.stored import stores
from dagster_models.compilation.sql_text import relation_for
from dagster_models.core.built import Built
from dagster_models.core.model import Location, Project, Reference, Relation, Step, Target

#: Where a warehouse looks for a name without a schema.
_DEFAULT_SCHEMAS = ("main", "public")


def leftovers(project: Project, target: Target, built: Iterable[Built]) -> list[Built]:
    """Those of the relations that the project has built and that it builds no more.

    What it reads without building it is kept: as a source that it declares, or under a name that
    it does not declare. The history of a snapshot is kept, too, as nothing can build it again.
    """
    now = {relation.folded for relation in _built_now(project, target)}
    declared = {source.relation.folded: source.location for source in project.sources.values()}
    read = dict(_undeclared(project))
    found = []
    for each in built:
        name = each.relation.folded
        if name in now:
            continue
        if each.kept:
            found.append(each)
        elif each.commit.kind == "snapshot":
            found.append(replace(each, kept="it is the history of a snapshot: drop it by hand"))
        elif name in declared:
            found.append(replace(each, kept=f"it is a source ({declared[name]})"))
        elif name in read:
            found.append(replace(each, kept=f"{read[name]} reads it: change that first"))
        else:
            found.append(each)
    return found


def _built_now(project: Project, target: Target) -> Iterator[Relation]:
    for key, step in project.steps.items():
        if step.relation is not None:
            yield relation_for(project, key, target)
    yield from stores(project, target)


def _undeclared(project: Project) -> Iterator[tuple[tuple[str, str], Location]]:
    for step in (*project.steps.values(), *project.ephemerals.values()):
        for schema, name, reference in _unresolved(step):
            yield (schema.lower(), name.lower()), step.place(reference.line, reference.column)


def _unresolved(step: Step) -> Iterator[tuple[str, str, Reference]]:
    """The names that a text reads and nobody declares, as relations that they may mean."""
    for reference in step.references:
        if reference.name not in step.resolved and reference.certain and not reference.written:
            *outer, name = reference.parts
            for schema in outer[-1:] or _DEFAULT_SCHEMAS:
                yield schema, name, reference


def _unresolved_in(project: Project, step: Step) -> Iterator[tuple[str, str, Reference]]:
    """The same with those of the ephemeral models that it reads, at the places of these."""
    yield from _unresolved(step)
    for reference in step.references:
        key = step.resolved.get(reference.name)
        if key is not None and (inner := project.ephemerals.get(key)) is not None:
            for schema, name, _ in _unresolved_in(project, inner):
                yield schema, name, reference


def undeclared_reads(project: Project, step: Step, target: Target) -> dict[str, int]:
    """The names of relations that *step* reads on *target* and that nobody declares or builds now,
    each with its line."""
    found = {(schema, name): ref.line for schema, name, ref in _unresolved_in(project, step)}
    if not found:
        return {}
    now = {relation.folded for relation in _built_now(project, target)}
    return {
        f"{schema}.{name}": line
        for (schema, name), line in found.items()
        if (schema.lower(), name.lower()) not in now
    }
