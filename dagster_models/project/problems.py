"""How the loader reports what is wrong in a project's files, and goes on."""

from __future__ import annotations

from collections.abc import Callable

from dagster_models.core.model import Location
from dagster_models.errors import Problem

Report = Callable[[Problem], None]
"""Takes note of a problem. The loader goes on, so that the user sees all problems at once."""


def problem(what: str, place: Location, fix: str = "", severity: str = "error") -> Problem:
    """A Problem at a Location."""
    return Problem(what, place.path, place.line, place.column, fix, severity)
