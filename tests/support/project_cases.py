"""A whole project in one text: `--- path` begins a file, `=== report` what load() says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from dagster_models.core.model import Key, Project, Source
from dagster_models.core.traced import Trace, TraceRequest
from dagster_models.definitions.loading import load_files
from dagster_models.errors import ProjectError
from dagster_models.project import load as door
from dagster_models.sql.lineage.trace import trace
from dagster_models.sql.parsed_texts import ParsedTexts, Text
from dagster_models.util.seed_look import SeedLook, look_at

DEFAULT = "name: p\n"

load_with_caches = load_files
"""Load a project as ``load_project`` does."""


class PlainReader:
    """A SqlReader without caches and processes: every text is read where it is needed."""

    def __init__(self, folder: object) -> None: ...

    def __enter__(self) -> PlainReader:
        return self

    def __exit__(self, *exc_info: object) -> None: ...

    def look_at_seed(self, data: bytes) -> SeedLook:
        return look_at(data)

    def parse_all(self, parsed: ParsedTexts, texts: Sequence[Text], ahead: object) -> Sequence[int]:
        return range(len(texts))

    def trace(self, queries: Sequence[TraceRequest]) -> list[Trace]:
        return [trace(*query) for query in queries]


def load(root: Path, **arguments: Any) -> Project:
    """Load a project with a PlainReader: nothing is written into its folder."""
    with mock.patch.object(door, "SqlReader", PlainReader):
        return load_files(root, **arguments)


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


def make(root: Path, files: Mapping[str, str], sources: tuple[Source, ...] = ()) -> Project:
    """The project of *files*, loaded without the process's environment."""
    return load(write_project(root, dict(files)), sources=sources, environ={})


def upstream(project: Project, key: str) -> list[str]:
    schema, name = key.split(".")
    return [str(read) for read in project.steps[Key(schema, name)].upstream]


def without_kinds(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags of an asset in Dagster, in which its kinds are tags, too."""
    return {name: value for name, value in tags.items() if not name.startswith("dagster/kind/")}


def report_of(root: Path) -> str:
    """What load() says of the project: its errors, or else its warnings."""
    try:
        project = load(root, environ={})
    except ProjectError as error:
        return f"{error}\n"
    return "".join(f"{warning}\n" for warning in project.warnings)
