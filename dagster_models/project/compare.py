"""Two versions of a project -> what changed in meaning, and what that touches downstream.

A step has changed if its code version has. Its columns are compared by the digests of their
expressions, and the rest of its query by the digest of what decides its rows. What neither of them
shows (project/unshown.py) is a change of its contents, and not only of the columns that changed as
well. A change of rows touches every column of every reader. A change of one column touches what is
made of it, and all columns of a reader that filters, joins or groups by it. A reader whose own text
is as before may still get other columns (`*`, NATURAL JOIN, `union by name`): its traces are
compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from dagster_models.core.model import Key, Project, Step
from dagster_models.core.step_keys import node_name
from dagster_models.core.traced import Trace
from dagster_models.project.unshown import has_unshown

ALL = "*"
"""All columns, and which rows there are."""

ColumnName = tuple[Key, str]

Text = Callable[[Project, Step], str]
"""The text of a step's file, "" where it cannot be read."""


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """``before`` and ``after`` are types, "" if the type is unknown or there is no such column."""

    name: str
    kind: Literal["added", "removed", "type", "expression"]
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True)
class StepChange:
    """How one step changed.

    ``was``: the key before it was renamed. ``rows``: it may have other rows. ``whole``: what has
    changed cannot be narrowed down (Python, seeds, scripts, configuration).
    """

    key: Key
    kind: Literal["added", "removed", "changed", "renamed"]
    path: str
    columns: tuple[ColumnChange, ...] = ()
    rows: bool = False
    whole: bool = False
    was: Key | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``affected``: steps that have not changed themselves -> their columns that may hold other
    values, or ``ALL``. ``key_prefix``: that of the project as it is now."""

    changes: tuple[StepChange, ...] = ()
    affected: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    key_prefix: tuple[str, ...] = ()


def compare(old: Project, new: Project, text: Text) -> Comparison:
    """What changed from *old* to *new*. A step that was renamed is recognised by its *text*."""
    removed = [step for key, step in old.steps.items() if key not in new.steps]
    changes = [change for step in new.steps.values() for change in _change(step, old, new, text)]
    renamed = _renamed(removed, changes, old, new, text)
    kept = [renamed.get(change.key, change) for change in changes]
    gone = {change.was for change in renamed.values()}
    kept += [
        StepChange(step.key, "removed", step.location.path)
        for step in removed
        if step.key not in gone
    ]
    was = {change.key: change.was or change.key for change in kept}
    before = {key: old.steps.get(was.get(key, key)) for key in new.steps}
    return Comparison(tuple(kept), _affected(kept, before, new), new.key_prefix)


def _change(step: Step, old: Project, new: Project, text: Text) -> Iterator[StepChange]:
    before = old.steps.get(step.key)
    if before is None:
        yield StepChange(step.key, "added", step.location.path)
    elif before.problems or step.problems:  # what one of them means is not known
        if text(old, before) != text(new, step) or before.problems != step.problems:
            yield StepChange(step.key, "changed", step.location.path, whole=True)
    elif before.code_version != step.code_version:
        columns, rows, whole = _difference(before.trace, step.trace)
        shown = rows or whole or (columns and not has_unshown(before, step, old, new))
        path, whole = step.location.path, whole or not shown
        yield StepChange(step.key, "changed", path, columns, rows, whole)


def _difference(before: Trace, after: Trace) -> tuple[tuple[ColumnChange, ...], bool, bool]:
    """What differs between two traces: columns, which rows there are, and anything else."""
    columns = tuple(_columns(before, after))
    known = before.rows != "" != after.rows
    rows = known and (before.rows, before.row_sources) != (after.rows, after.row_sources)
    return columns, rows, not known or before.closed != after.closed or _moved(before, after)


def _moved(before: Trace, after: Trace) -> bool:
    """Whether columns have changed places, or those without a name have changed."""
    one, two = ([column.name for column in trace.columns] for trace in (before, after))
    if [name for name in one if name in two] != [name for name in two if name in one]:
        return True
    unnamed = ([c.digest for c in trace.columns if not c.name] for trace in (before, after))
    return next(unnamed) != next(unnamed)


def _columns(before: Trace, after: Trace) -> Iterator[ColumnChange]:
    known = {column.name: column for column in before.columns if column.name}
    for column in after.columns:
        if not column.name:
            continue
        was = known.pop(column.name, None)
        if was is None:
            yield ColumnChange(column.name, "added", "", column.type)
        elif was.digest != column.digest:
            yield ColumnChange(column.name, "expression", was.type, column.type)
        elif was.type != column.type:
            yield ColumnChange(column.name, "type", was.type, column.type)
    for column in known.values():
        yield ColumnChange(column.name, "removed", column.type, "")


def _renamed(
    removed: list[Step],
    changes: list[StepChange],
    old: Project,
    new: Project,
    text: Text,
) -> dict[Key, StepChange]:
    """The added steps whose file has the text of a removed one."""
    texts = {text(old, step).strip(): step for step in removed}
    found = {}
    for change in changes:
        if change.kind != "added":
            continue
        before = texts.pop(text(new, new.steps[change.key]).strip(), None)
        if before is not None:
            found[change.key] = StepChange(change.key, "renamed", change.path, was=before.key)
    return found


# --- downstream ------------------------------------------------------------------------------


def _affected(
    changes: list[StepChange], before: Mapping[Key, Step | None], project: Project
) -> dict[Key, tuple[str, ...]]:
    touched: dict[Key, set[str]] = {}
    for change in changes:
        every = change.rows or change.whole or change.kind != "changed"
        touched[change.key] = {ALL} if every else {c.name.lower() for c in change.columns}
    changed = set(touched)
    found: dict[Key, tuple[str, ...]] = {}
    for key, step in project.steps.items():  # in topological order: what it reads comes first
        columns = _touched_columns(step, before.get(key), touched)
        if columns:
            touched[key] = touched.get(key, set()) | {column.lower() for column in columns}
            if key not in changed:
                found[key] = (ALL,) if ALL in touched[key] else columns
    return found


def _touched_columns(
    step: Step, before: Step | None, touched: Mapping[Key, set[str]]
) -> tuple[str, ...]:
    if not any(key in touched for key in step.upstream):
        return ()
    followed = step.kind == "sql" and step.trace.closed
    hit = _hits(touched)
    if any(ALL in touched.get(key, ()) for key in step.upstream) or not followed:
        return (ALL,)
    if any(hit((Key(*name), column)) for name, column in step.trace.row_sources):
        return (ALL,)
    changed, rows, whole = _difference(before.trace, step.trace) if before else ((), False, False)
    if rows or whole:
        return (ALL,)
    hits = [
        column.name
        for column in step.trace.columns
        if column.reason or any(hit((Key(*name), source)) for name, source in column.sources)
    ]
    # A type that is not known on one side says nothing: it may come from the last build.
    other = [c.name for c in changed if c.kind != "type" or (c.before and c.after)]
    return tuple(dict.fromkeys((*hits, *other)))


def _hits(touched: Mapping[Key, set[str]]) -> Callable[[ColumnName], bool]:
    return lambda source: source[1].lower() in touched.get(source[0], ())


GivenKeys: TypeAlias = Mapping[Key, Sequence[str]]
"""The paths of the asset keys of steps, where a translator has changed them."""

NO_KEYS: GivenKeys = MappingProxyType({})


def selection(comparison: Comparison, given: GivenKeys = NO_KEYS) -> str:
    """A Dagster asset selection of what changed and all that is downstream of it; "" if nothing."""
    return " or ".join(f'key:"{"/".join(path)}"+' for path in _paths(comparison, given))


def op_selection(comparison: Comparison, given: GivenKeys = NO_KEYS) -> str:
    """The same for ``--op-selection`` of a job that contains all of it."""
    return ",".join(f"{node_name(tuple(path))}*" for path in _paths(comparison, given))


def _paths(comparison: Comparison, given: GivenKeys) -> Iterator[Sequence[str]]:
    for key in _selected(comparison):
        yield given.get(key) or (*comparison.key_prefix, *key)


def _selected(comparison: Comparison) -> list[Key]:
    keys = [change.key for change in comparison.changes if change.kind != "removed"]
    if any(change.kind == "removed" for change in comparison.changes):
        keys += list(comparison.affected)  # its readers are downstream of nothing that is left
    return list(dict.fromkeys(keys))
