"""A check that is a Python function -> the code that a step's process runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dagster_models.compilation.sql_text import compile_check_text, compile_tables
from dagster_models.core.checks import Check
from dagster_models.core.model import Project, Step, Target
from dagster_models.core.python_code import LoadedFile, PythonCode
from dagster_models.core.stand_ins import OWN_RELATION


def function(project: Project, step: Step, check: Check, target: Target) -> PythonCode | None:
    """The code of a check of *step*, None if it is none. OWN_RELATION stands in its SQL for the
    relation."""
    found = check.function
    if found is None:
        return None
    path, root = check.location.path, Path(project.root)
    # The names of its own temporary tables are not those of the model.
    reader = replace(step, queries=found.queries)
    return PythonCode(
        LoadedFile(str(root / path), path, found.digest, found.code),
        project.root,
        tuple(LoadedFile(str(root / it.path), it.path, it.digest, it.code) for it in found.modules),
        {
            text: compile_check_text(project, reader, text, target, queries_only=False)
            for text in found.queries
        },
        {
            name: OWN_RELATION if step.resolved[name] == step.key else sql
            for name, sql in compile_tables(project, step, target).items()
        },
    )
