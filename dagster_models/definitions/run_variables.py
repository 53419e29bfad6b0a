"""The projects of a run, loaded once more with the variables that the run is given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dagster_models.core.model import Project
from dagster_models.definitions.loading import load_files
from dagster_models.project.variables import GivenText


def loaded_with(given: GivenText, projects: Iterable[Project]) -> dict[str, Project]:
    """Root -> the project with these values.

    Raises:
        ProjectError: there is no such variable, or a value has another type; or the files have
            changed meanwhile, and are wrong now.
    """
    found = {}
    for project in projects:
        if project.root not in found:
            others = [it for it in project.sources.values() if it.asset_key is not None]
            again = load_files(
                project.root, sources=others, texts=project.texts, given=given, whole=None
            )
            found[project.root] = replace(again, key_prefix=project.key_prefix)
    return found
