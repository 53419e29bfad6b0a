"""``dg scaffold defs dagster_models.ModelsComponent NAME``: a defs.yaml and a first project."""

from __future__ import annotations

import os
from pathlib import Path

from dagster import Scaffolder, ScaffoldRequest
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, Field

from dagster_models.errors import DagsterModelsError
from dagster_models.project.first_project import name_for, project_text
from dagster_models.project.settings import PROJECT_FILE

_MODEL = """\
/* @model
description: Replace this by a query of yours.
columns:
  id: {checks: [unique, not_null]}
*/
select range as id from range(10)
"""
_COMPONENT = """\
from dagster import ComponentLoadContext, component_instance

from dagster_models import ModelsComponent


@component_instance
def load(context: ComponentLoadContext) -> ModelsComponent:
    return ModelsComponent(project={project!r})
"""


class ModelsScaffoldParams(BaseModel):
    """What `dg scaffold defs` may be given."""

    project_path: str | None = Field(
        default=None,
        description="The folder of a project that is there. Without it a new one is written.",
    )


class ModelsScaffolder(Scaffolder[ModelsScaffoldParams]):
    """Writes the defs.yaml (or component.py) of a ModelsComponent."""

    @classmethod
    def get_scaffold_params(cls) -> type[ModelsScaffoldParams]:
        return ModelsScaffoldParams

    def scaffold(self, request: ScaffoldRequest[ModelsScaffoldParams]) -> None:
        given = request.params.project_path
        folder = request.target_path.parent if request.append else request.target_path
        if given is not None:
            project = _relative(Path(given), folder)
        elif request.scaffold_format == "python" or request.append:
            raise DagsterModelsError(
                "a new project needs a folder with a defs.yaml of its own, as dg runs the Python"
                " files of all other folders when it loads them: name the folder of a project"
                " elsewhere with --project-path"
            )
        else:
            write_project(folder)
            project = "."
        if request.scaffold_format == "python":
            text = _COMPONENT.format(project=project)
            (folder / "component.py").write_text(text, encoding="utf-8")
        else:
            scaffold_component(request, {"project": project})


def write_project(folder: Path) -> None:
    """Write a first project into the folder; what is there already stays as it is."""
    files = {
        PROJECT_FILE: project_text(name_for(folder.name)),
        "models/marts/example.sql": _MODEL,
        ".gitignore": "target/\n",
    }
    for path, text in files.items():
        if not (folder / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")


def _relative(project: Path, folder: Path) -> str:
    """The project's folder as the component names it.

    Raises:
        DagsterModelsError: it has no project file.
    """
    if not (project / PROJECT_FILE).is_file():
        what = f"there is no {PROJECT_FILE} in {project.absolute()}"
        raise DagsterModelsError(f"{what}: name the folder of a project with --project-path")
    return Path(os.path.relpath(project.resolve(), folder.resolve())).as_posix()
