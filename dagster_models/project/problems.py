"""How the loader reports what is wrong in a project's files, and goes on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from dagster_models.core.model import Location, Step
from dagster_models.errors import Problem

Report = Callable[[Problem], None]
"""Takes note of a problem. The loader goes on, so that the user sees all problems at once."""


def problem(
    what: str,
    place: Location,
    fix: str = "",
    severity: str = "error",
    *,
    others: tuple[str, ...] = (),
    missing: str = "",
) -> Problem:
    """A Problem at a Location."""
    return Problem(what, place.path, place.line, place.column, fix, severity, others, missing)


def concerning(path: str, report: Report) -> Report:
    """A Report of what concerns that file, wherever it stands: what has an anchor (`&a`) in YAML
    is read for each of its aliases."""

    def report_it(found: Problem) -> None:
        report(found if found.path == path else replace(found, others=(*found.others, path)))

    return report_it


class Noted:
    """A Report that passes each problem on and keeps it, for who has to know whether a part of a
    file is wrong."""

    def __init__(self, report: Report) -> None:
        self._report, self.problems = report, list[Problem]()

    def __call__(self, found: Problem) -> None:
        self._report(found)
        self.problems.append(found)


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Those that are more than warnings."""
    return [problem for problem in problems if problem.severity == "error"]


def place_of(key: str, step: Step) -> Location:
    """The line of the header's key in a SQL file; the file's first line if it is not there."""
    found = re.search(rf"^[ \t]*{key}[ \t]*:", step.sql, re.MULTILINE) if key else None
    if found is None or step.sql_line:
        return step.location
    return Location(step.location.path, step.sql.count("\n", 0, found.start()) + 1)
