"""Drafts of an earlier load of the same folder, for the files that say what they said then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from dagster_models.errors import Problem
from dagster_models.project.drafts.draft import CheckDraft, Draft, DraftContext
from dagster_models.project.files import ProjectFile

MakeDraft: TypeAlias = Callable[[ProjectFile, DraftContext], "Draft | CheckDraft | None"]


@dataclass
class KeptDrafts:
    """The drafts of models in SQL, which one load leaves to the next one.

    A draft rests on its own file, and on what other files say of it: the settings, the YAML files,
    the queries of checks/, and which files there are. The drafts are forgotten if any of these is
    otherwise. Both loads have the same environment and the same arguments.
    """

    _rests_on: Any = None
    _made: dict[str, tuple[ProjectFile, Draft, tuple[Problem, ...]]] = field(default_factory=dict)

    def begin(self, files: Sequence[ProjectFile], context: DraftContext) -> None:
        """Begin a load of these files."""
        settings = repr(context.settings)  # in which 1 is not true
        said = settings, context.defaults, context.described, context.queries
        rests_on = said, [file.path for file in files]
        if rests_on != self._rests_on:
            self._rests_on, self._made = rests_on, {}

    def draft(
        self, file: ProjectFile, context: DraftContext, make: MakeDraft
    ) -> Draft | CheckDraft | None:
        """The draft of a file. Its problems are reported, also those of one that is kept."""
        kept = self._made.get(file.path)
        if kept is not None and kept[0] == file:
            for found in kept[2]:
                context.report(found)
            return kept[1]
        problems: list[Problem] = []
        modules: list[str] = []

        def read_module(path: str) -> str | None:
            modules.append(path)
            return context.read_module(path)

        draft = make(file, replace(context, report=problems.append, read_module=read_module))
        for found in problems:
            context.report(found)
        # That of a kind of the project's own rests on the file of its class, too.
        if isinstance(draft, Draft) and _is_model_in_sql(file) and not modules:
            self._made[file.path] = file, draft, tuple(problems)
        return draft


def _is_model_in_sql(file: ProjectFile) -> bool:
    return file.folder == "models" and file.ending == ".sql"
