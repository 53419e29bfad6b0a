"""Python files of a project, as they were when the project was loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dagster_models.core.model import EMPTY
from dagster_models.util.digests import digest_of
from dagster_models.util.python_code import code_digest


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """A file of the project that is read again when its step runs.

    ``path`` is absolute, and ``name`` is how users see it. ``digest`` is that of its bytes when the
    project was loaded, or "" if a change of the file does not matter. ``code`` is that of its code
    without comments, "" if it is not Python.
    """

    path: str
    name: str = ""
    digest: str = ""
    code: str = ""

    def is_as_loaded(self, data: bytes) -> bool:
        """Whether *data* mean what the task's code version was computed from: the same bytes, or
        other comments around the same code."""
        if not self.digest or self.digest == digest_of(data):
            return True
        return bool(self.code) and self.code == code_digest(data)

    @property
    def changed(self) -> str:
        """The message for a file that has changed since it was loaded."""
        name = self.name or self.path
        return f"{name} was changed after the run had loaded the project: run it again"


@dataclass(frozen=True, slots=True)
class PythonCode:
    """A file whose function a step's process calls. ``modules`` are those of the project that the
    file imports. ``queries`` maps the literal SQL of these files to the SQL to send, and
    ``relations`` maps the names of tables as written there to their SQL."""

    file: LoadedFile
    project_root: str = ""
    modules: tuple[LoadedFile, ...] = ()
    queries: Mapping[str, str] = EMPTY
    relations: Mapping[str, str] = EMPTY

    def with_sql(self, change: Callable[[str], str]) -> PythonCode:
        """The same code, whose SQL *change* has written anew."""
        return replace(
            self,
            queries={text: change(sql) for text, sql in self.queries.items()},
            relations={name: change(sql) for name, sql in self.relations.items()},
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PythonCode:
        modules = tuple(LoadedFile(**module) for module in data["modules"])
        return cls(**{**data, "file": LoadedFile(**data["file"]), "modules": modules})
