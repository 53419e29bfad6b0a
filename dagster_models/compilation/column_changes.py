"""How the columns of a relation will differ once its step is built as it is now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dagster_models.compilation.sql_text import dialect_on
from dagster_models.core.model import Key, Project, Step, Target
from dagster_models.project.compare import ColumnChange
from dagster_models.sql.dialects.table import dialect_of

#: The kinds whose relation has the columns of the query, and no others.
_OF_THE_QUERY = frozenset({"view", "table", "incremental", "seed"})


def column_changes(
    project: Project, step: Step, target: Target, there: Sequence[tuple[str, str]]
) -> tuple[ColumnChange, ...]:
    """What differs from the columns that are *there*, (name, type), as far as the project's own
    SQL says it; nothing where that does not know all columns of the step."""
    schema = step.trace.schema
    if not (schema.closed and step.built_as in _OF_THE_QUERY):
        return ()
    key = dialect_of(dialect_on(project, target)).type_key
    before = {name.lower(): (name, type_) for name, type_ in there}
    found = []
    for name, type_ in schema.columns:
        was = before.pop(name.lower(), None)
        if was is None:
            found.append(ColumnChange(name, "added", "", type_))
        elif key(was[1]) and key(type_) and key(was[1]) != key(type_):
            found.append(ColumnChange(name, "type", was[1], type_))
    found += [ColumnChange(name, "removed", type_) for name, type_ in before.values()]
    return tuple(found)


def readers_of(
    project: Project, key: Key, changes: Mapping[Key, Sequence[ColumnChange]]
) -> dict[str, tuple[Key, ...]]:
    """Each column of *key* that changes -> the steps that read it: in a column of theirs, or to
    decide which rows they have. Of a column that will be gone, they are those whose file is wrong
    without it, and those that lose it, too."""
    return {
        change.name: tuple(dict.fromkeys(_readers(project, key, change, changes)))
        for change in changes.get(key, ())
    }


def _readers(
    project: Project, key: Key, change: ColumnChange, changes: Mapping[Key, Sequence[ColumnChange]]
) -> Iterator[Key]:
    column = change.name.lower()
    for step in project.steps.values():
        if key not in step.upstream:
            continue
        of_columns = (origin for it in step.trace.columns for origin in it.sources)
        origins = {(name, of.lower()) for name, of in (*of_columns, *step.trace.row_sources)}
        loses = change.kind == "removed" and any(
            it.kind == "removed" and it.name.lower() == column for it in changes.get(step.key, ())
        )
        if (tuple(key), column) in origins or loses or _misses(project, step, column):
            yield step.key


def _misses(project: Project, step: Step, column: str) -> bool:
    """Whether the file of the step names a column that it cannot have."""
    return any(
        it.path == step.location.path and it.missing.lower() == column for it in project.warnings
    )
