"""A whole project in one text: `--- path` begins a file, `=== report` what load() says of it."""

from __future__ import annotations

from pathlib import Path

from dagster_models.errors import ProjectError
from dagster_models.project.load import load

DEFAULT = "name: p\n"


def split_case(text: str) -> tuple[dict[str, str], str]:
    """The files by path, and the expected report. Without a project file there is a default one;
    `--- no dagster_models.yaml` leaves it out."""
    body, _, report = text.partition("=== report\n")
    files = {"dagster_models.yaml": DEFAULT}
    for part in ("\n" + body).split("\n--- ")[1:]:
        path, _, content = part.partition("\n")
        if path.startswith("no "):
            del files[path.removeprefix("no ")]
        else:
            files[path] = content + "\n" if content.strip() else content
    return files, report


def write_project(root: Path, files: dict[str, str]) -> Path:
    """*root*, with *files* in it."""
    for path, content in {"dagster_models.yaml": DEFAULT, **files}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return root


def report_of(root: Path) -> str:
    """What load() says of the project: its errors, or else its warnings."""
    try:
        project = load(root, environ={})
    except ProjectError as error:
        return f"{error}\n"
    return "".join(f"{warning}\n" for warning in project.warnings)
