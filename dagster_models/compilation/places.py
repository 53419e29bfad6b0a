"""The place in the project's files of a line of the SQL that was sent.

The queries of ephemeral models stand in the text, so that its lines are not those of one file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dagster_models.core.model import Location, Project, Reference, Step
from dagster_models.util.positions import Lines


def place_of(
    project: Project,
    step: Step,
    line: int,
    text: str,
    path: str,
    references: Collection[Reference],
) -> Location:
    """The file and line of a *line* of what was sent for the *text* of *path*, a text of *step*
    with these *references*. Of a query that Python generates: the line of ``def sql``; of a
    template: the line that wrote it."""
    reads = {step.resolved.get(reference.name) for reference in references}
    if reads.isdisjoint(project.ephemerals):  # nearly every text
        return _in_file(step, text, path, line)
    every = [*_places(project, step, text, path, references)]
    return every[min(line, len(every)) - 1]


def _places(
    project: Project, step: Step, text: str, path: str, references: Collection[Reference]
) -> Iterator[Location]:
    """The place of each line that is sent."""
    lines, inside = Lines(text), dict[int, list[Step]]()
    for reference in sorted(references, key=lambda it: it.start):
        key = step.resolved.get(reference.name)
        if key is not None and key in project.ephemerals:
            line = lines.place(reference.start)[0]
            inside.setdefault(line, []).append(project.ephemerals[key])
    for line in range(1, text.count("\n") + 2):
        yield _in_file(step, text, path, line)
        for inner in inside.get(line, ()):
            yield from _places(project, inner, inner.sql, inner.location.path, inner.references)
            yield _in_file(step, text, path, line)


def _in_file(step: Step, text: str, path: str, line: int) -> Location:
    if text in (step.sql, step.full_sql):
        return Location(path, step.sql_line or step.place(line).line)
    return Location(path, line)
