"""Whether two versions of a model differ in anything that their traces do not show.

The traces are made by a walk over a syntax tree: nobody has seen all SQL, and a parser may drop
what it does not understand. So each edit of the text is made alone, in the old text and backwards
in the new one. If both traces stay as they are, the edit is not shown, whatever else has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dagster_models.core.model import Key, Project, Step
from dagster_models.core.traced import Schema, Upstream
from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.canonical import content_config
from dagster_models.sql.edits import Edit, edits, replaced
from dagster_models.sql.lineage.trace import followed
from dagster_models.sql.parse import parse_sql

#: More edits than this are not looked at one by one.
_MOST_EDITS = 40


def has_unshown(before: Step, after: Step, old: Project, new: Project) -> bool:
    """Whether something that the traces of the two steps do not show has changed. Both are SQL."""
    if _settings(before, old) != _settings(after, new):
        return True
    for key in set(before.resolved.values()).intersection(old.ephemerals):
        inside, now = old.ephemerals[key], new.ephemerals.get(key)
        if now and inside.code_version != now.code_version and has_unshown(inside, now, old, new):
            return True
    upstream = {**_upstream(before, old), **_upstream(after, new)}
    return _is_unshown(before.sql, after.sql, new.dialect, upstream)


def _settings(step: Step, project: Project) -> tuple[object, ...]:
    """What decides the contents of a model beside its text."""
    names = {holder.name for holder in parse_sql(step.sql, project.dialect).placeholders}
    meant = {
        name: str(project.sources[key].relation if key in project.sources else key)
        for name, key in step.resolved.items()
    }
    used = {name: repr(step.variables.get(name)) for name in names}
    return content_config(step.config), str(step.relation), used, meant


def _upstream(step: Step, project: Project) -> dict[str, Upstream]:
    return {name: _meant(key, project) for name, key in step.resolved.items()}


def _meant(key: Key, project: Project) -> Upstream:
    name = (key.schema, key.name)
    if key in project.ephemerals:
        found = project.ephemerals[key].trace
        return Upstream(name, found.schema, found)
    if key in project.steps:
        return Upstream(name, project.steps[key].trace.schema)
    columns = tuple((c.name, c.type) for c in project.sources[key].columns)
    return Upstream(name, Schema(columns, bool(columns)))


def _is_unshown(old: str, new: str, dialect: str, upstream: Mapping[str, Upstream]) -> bool:
    def seen(text: str) -> Any:
        """All that a trace shows; None if the text is no query."""
        try:
            found = followed(text, dialect, upstream)
        except (SqlSyntaxError, RecursionError):
            return None
        return found.columns, found.closed, found.rows, found.row_sources

    every = edits(old, new, dialect)
    if len(every) > _MOST_EDITS:
        return True
    first, last = seen(old), seen(new)
    pending: list[Edit] = []  #: those that only make a query together: `round(` and `, 2)`
    for edit in every:
        for group in _groups(edit, pending):
            forwards = seen(replaced(old, new, group))
            backwards = seen(replaced(new, old, [it.backwards for it in group]))
            if forwards is not None or backwards is not None:
                break
        else:
            pending.append(edit)
            continue
        if forwards in (None, first) and backwards in (None, last):
            return True
        if len(group) > 1:
            pending.clear()
    return bool(pending)


def _groups(edit: Edit, pending: list[Edit]) -> Iterator[list[Edit]]:
    yield [edit]
    if pending:
        yield [*pending, edit]
