"""``dagster-models lineage MODEL[.COLUMN]``: what columns are made of, and what is made of them.

A selection prints the columns of all that it selects.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dagster_models.cli.project import (
    add_vars,
    project_of,
    refuse_broken,
    warn_of_broken_files,
)
from dagster_models.cli.selection import add_words, select_names
from dagster_models.cli.streams import shows
from dagster_models.core.model import Key, Project, Source, Step
from dagster_models.errors import DagsterModelsError, ProjectError, SelectionError
from dagster_models.project.compare import ColumnName
from dagster_models.util.nearest import nearest

HELP = "print what columns are made of, and what is made of them"

#: A column that feeds a whole project has more readers than a terminal has lines.
MOST_LINES = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    name_help = "a model, seed or source, or one of its columns; or a selection, as of `ls`"
    add_words(parser, name_help, "+", "MODEL[.COLUMN]")
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    project = project_of(options)
    words, exclude = options.selection, " ".join(options.exclude)
    text = None if len(words) > 1 or exclude else lineage_or_none(project, words[0])
    print(lineage_of_all(project, " ".join(words), exclude) if text is None else text)
    warn_of_broken_files(project)
    return 0


def lineage_or_none(project: Project, word: str) -> str | None:
    """The text for a name; None if the word is not a name but a selection.

    Raises:
        DagsterModelsError: it is neither.
    """
    try:
        return lineage(project, word)
    except ProjectError:
        raise
    except DagsterModelsError:
        try:
            select_names(project, word, "", None)
        except SelectionError:
            if re.fullmatch(r"[\w.]+", word) is None:
                raise
        else:
            return None
        raise


def lineage_of_all(project: Project, text: str, exclude: str) -> str:
    """The columns of all that a selection means.

    Raises:
        SelectionError: it is not a selection, or matches nothing.
    """
    graph = _columns(project)
    names = set(select_names(project, text, exclude, None))
    items: list[Step | Source] = [*project.sources.values(), *project.steps.values()]
    return "\n\n".join(
        "\n".join(_model_lines(item, graph)) for item in items if str(item.key) in names
    )


@dataclass(frozen=True, slots=True)
class _ColumnGraph:
    """The columns of a project, their names in lower case, and which are made of which."""

    written: Mapping[ColumnName, str]  #: as they are printed: `marts.x.late_share DOUBLE`
    upstream: Mapping[ColumnName, Sequence[ColumnName]]
    downstream: Mapping[ColumnName, Sequence[ColumnName]]
    reasons: Mapping[ColumnName, str]
    branches: tuple[str, str] = ("├── ", "└── ")  #: to one that others follow, and to the last
    stem: str = "│   "


def lineage(project: Project, name: str) -> str:
    """The text to print for a step or source, or one of its columns.

    Raises:
        DagsterModelsError: nothing has this name.
        ProjectError: the file of the step or source is wrong.
    """
    graph = _columns(project)
    item, column = _find(project, name)
    refuse_broken(item)
    if column is None:
        return "\n".join(_model_lines(item, graph))
    start = (item.key, column.lower())
    if start not in graph.written:
        known = [name for key, name in graph.written if key == item.key]
        close = " or ".join(nearest(column, known, 3))
        hint = f"did you mean {close}?" if close else f"columns: {', '.join(known) or 'none'}"
        raise DagsterModelsError(f"{item.key} has no column {column!r}; {hint}")
    lines = [graph.written[start]]
    lines += ["", "made of", *_tree(start, graph.upstream, graph)]
    lines += ["", "part of", *_tree(start, graph.downstream, graph)]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more"]
    return "\n".join(lines)


def _columns(project: Project) -> _ColumnGraph:
    written: dict[ColumnName, str] = {}
    upstream: dict[ColumnName, list[ColumnName]] = {}
    downstream: dict[ColumnName, list[ColumnName]] = {}
    reasons: dict[ColumnName, str] = {}
    for source in project.sources.values():
        for declared in source.columns:
            name = (source.key, declared.name.lower())
            written[name] = f"{source.key}.{declared.name} {declared.type}".rstrip()
    for step in project.steps.values():
        for column in step.trace.columns:
            name = (step.key, column.name.lower())
            if not column.name:
                continue
            written[name] = f"{step.key}.{column.name} {column.type}".rstrip()
            if column.reason:
                reasons[name] = column.reason
            for key, of in column.sources:
                origin = (Key(*key), of.lower())
                written.setdefault(origin, f"{Key(*key)}.{of}")
                upstream.setdefault(name, []).append(origin)
                downstream.setdefault(origin, []).append(name)
        for declared in step.config.columns:
            text = f"{step.key}.{declared.name} {declared.type}".rstrip()
            written.setdefault((step.key, declared.name.lower()), text)
    columns = _ColumnGraph(written, upstream, downstream, reasons)
    if not shows("├└│"):
        columns = replace(columns, branches=("|-- ", "`-- "), stem="|   ")
    return columns


def _model_lines(item: Step | Source, graph: _ColumnGraph) -> Iterator[str]:
    yield str(item.key)
    names = [name for name in graph.written if name[0] == item.key]
    for name in names:
        sources = ", ".join(graph.written[of].split(" ")[0] for of in graph.upstream.get(name, ()))
        column = graph.written[name][len(str(item.key)) + 1 :]
        reason = f" ({graph.reasons[name]})" if name in graph.reasons else ""
        yield f"  {column}{f' <- {sources}' if sources else ''}{reason}"
    if isinstance(item, Step) and item.kind == "sql" and not item.trace.closed:
        yield f"  not all columns are known: {item.trace.reason}"
    elif not names:
        yield "  no columns are known: declare them with `columns:`"


def _tree(
    start: ColumnName,
    edges: Mapping[ColumnName, Sequence[ColumnName]],
    graph: _ColumnGraph,
    indent: str = "",
) -> Iterator[str]:
    """What *edges* lead to. Each column is followed once, as a model that reads itself makes a
    cycle."""
    stack: list[tuple[ColumnName, str, bool]] = []
    _push(stack, edges.get(start, ()), indent)
    seen = {start}
    if not stack:
        reason = graph.reasons.get(start)
        yield f"  nothing{f': {reason}' if reason else ''}"
    while stack:
        name, before, last = stack.pop()
        below = edges.get(name, ())
        again = name in seen and bool(below)
        reason = f" ({graph.reasons[name]})" if name in graph.reasons else ""
        end = " (see above)" if again else reason
        yield f"{before}{graph.branches[last]}{graph.written[name]}{end}"
        if not again:
            seen.add(name)
            _push(stack, below, before + ("    " if last else graph.stem))


def _push(
    stack: list[tuple[ColumnName, str, bool]], names: Sequence[ColumnName], indent: str
) -> None:
    every = list(dict.fromkeys(names))
    for index, name in enumerate(reversed(every)):
        stack.append((name, indent, index == 0))


def _find(project: Project, name: str) -> tuple[Step | Source, str | None]:
    """The step or source that *name* means, and its column if the last part names one."""
    items: list[Step | Source] = [*project.steps.values(), *project.sources.values()]
    whole, _, column = name.rpartition(".")
    for wanted, of in ((name, None), (whole, column)):
        found = [item for item in items if wanted.lower() in _names(item)]
        if len(found) == 1:
            return found[0], of
        if found:
            every = " or ".join(str(item.key) for item in found)
            raise DagsterModelsError(f"{wanted!r} may be {every}: write the schema too")
    close = nearest(name, [spelling for item in items for spelling in _names(item)], 3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DagsterModelsError(f"there is no model, seed or source named {name!r}{hint}")


def _names(item: Step | Source) -> tuple[str, str]:
    return str(item.key).lower(), item.key.name.lower()
