"""A project as it is, and as it was at a commit of its git repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dagster_models.cli.git import repository_of
from dagster_models.cli.project import load
from dagster_models.core.model import Project, Step
from dagster_models.errors import DagsterModelsError, ProjectError
from dagster_models.project.settings import PROJECT_FILE

if TYPE_CHECKING:
    from dagster_models.project.compare import Comparison

#: What a load reads; data beside a project may be large.
_ENDINGS = (".sql", ".py", ".csv", ".yaml", ".yml")


class Compared(NamedTuple):
    """``commit``: its short name; ``project``: the one that is there now."""

    commit: str
    comparison: Comparison
    project: Project


def compared(root: Path, ref: str) -> Compared:
    """What changed since a commit. The user's checkout stays untouched.

    Raises:
        DagsterModelsError: there is no git repository or no such commit, or one of the two
            versions of the project does not load.
    """
    # It imports sqlglot, which takes 33 MiB: few selections compare, and a run keeps them.
    from dagster_models.project.compare import compare

    root = root.resolve()
    if not root.is_dir():
        raise DagsterModelsError(f"there is no folder {root}")
    repository = repository_of(root)
    commit = repository.find_commit(ref)
    new = _load(root, "the project as it is")
    with repository.files_at(commit, _ENDINGS) as before:
        if not (before / PROJECT_FILE).is_file():
            old = Project(
                new.name, str(before), new.target_path, new.dialect, {}, new.default_target, {}
            )
        else:
            old = _load(before, f"the project at {ref}", new)
        return Compared(commit[:10], compare(old, new, _text), new)


def _load(folder: Path, what: str, newer: Project | None = None) -> Project:
    """The project in *folder*. What is known of a *newer* version of it is used: what builds left
    is known by its code version, so it holds for the older files too."""
    texts, target_path = (newer.texts, newer.target_path) if newer else (None, None)
    try:
        return load(
            folder, texts=texts, unknown_columns="ignore", target_path=target_path, whole=False
        )
    except ProjectError as error:
        raise DagsterModelsError(f"{what} does not load: {error}") from error


def _text(project: Project, step: Step) -> str:
    path = Path(project.root, step.location.path)
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return ""
