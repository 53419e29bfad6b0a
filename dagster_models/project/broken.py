"""Errors -> the steps and sources that have them, so that all others can be used.

An error in the file of a step is of that step; so is one in a file that it rests on: a check that
runs with it, a module that it imports, the class of its kind. A check that runs with no step gets
one, which can only fail. An error that nothing stands for is of the whole project.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from dagster_models.core.model import EMPTY, Config, Key, Location, Project, Source, Step
from dagster_models.core.traced import NOTHING_TRACED
from dagster_models.errors import Problem
from dagster_models.project.described import SOURCES, Described
from dagster_models.project.drafts.draft import Draft
from dagster_models.project.ephemeral import is_ephemeral
from dagster_models.project.files import ProjectFile
from dagster_models.project.lost_yaml import is_of_others
from dagster_models.project.problems import errors_of

#: What may give a relation another name than that of its file.
_NAMING = re.compile(r"\b(alias|schema)\b")
_VIEW = "view"


@dataclass
class Blame:
    """Which step or source each error of a load is of. ``problems`` is the load's own list, which
    grows; ``files`` are those of steps and checks, and ``described`` is what YAML files say."""

    problems: Sequence[Problem]
    drafts: Sequence[Draft]
    files: Sequence[ProjectFile]
    described: Described

    @cached_property
    def _owners(self) -> dict[str, set[Key]]:
        """The steps that rest on each file. They are only looked for if there is an error."""
        found: dict[str, set[Key]] = {}
        for draft in self.drafts:
            step = draft.step
            for path in (step.location.path, step.kind_path, *(it.path for it in step.modules)):
                found.setdefault(path, set()).add(step.key)
        return found

    @cached_property
    def _texts(self) -> Mapping[str, str]:
        return {file.path: file.text for file in self.files} | dict(self.described.texts)

    def marked(self, steps: Mapping[Key, Step]) -> dict[Key, Step]:
        """The steps, those that have errors with these, and those of checks that have no step."""
        if not self._errors:
            return dict(steps)
        for step in steps.values():
            for check in step.checks:
                modules = check.function.modules if check.function else ()
                for path in (check.location.path, *(it.path for it in modules)):
                    if path.startswith("checks/") or check.function:
                        self._owners.setdefault(path, set()).add(step.key)
        wrong: dict[Key, list[Problem]] = {}
        for error in self._errors:
            for key in self._keys_of(error):
                wrong.setdefault(key, []).append(error)
        found = dict(steps)
        for key in wrong.keys() & steps.keys():
            found[key] = _broken(steps[key], wrong[key], self._texts_of(steps[key], wrong[key]))
        return {**found, **{it.key: it for it in self._of_checks(found)}}

    def marked_sources(self, sources: Mapping[Key, Source]) -> dict[Key, Source]:
        """The sources, those that have errors with these."""
        by_place: dict[Location, set[Key]] = {}
        by_path: dict[str, set[Key]] = {}
        for key, source in sources.items():
            by_path.setdefault(source.location.path, set()).add(key)
            for place in (source.location, *(it.location for it in source.checks)):
                by_place.setdefault(place, set()).add(key)
        wrong = {key: list(source.problems) for key, source in sources.items()}
        known = {problem for of in wrong.values() for problem in of}
        for error in self._errors:
            if error in known or self.described.described_at(error) not in ("", SOURCES):
                continue
            place = Location(error.path, error.line, error.column)
            for path in error.others:
                for key in by_path.get(path, ()):
                    wrong[key].append(error)
            for key in by_place.get(place) or by_path.get(error.path) or ():
                wrong[key].append(error)
        return {
            key: replace(source, problems=tuple(dict.fromkeys(wrong[key])))
            for key, source in sources.items()
        }

    def of_nothing(self) -> list[Problem]:
        """The errors that no step and no source stands for."""
        yaml = self.described.texts  # what none of their entries is about is only reported
        return [it for it in self._errors if it.path not in yaml and not self._keys_of(it)]

    @property
    def _errors(self) -> list[Problem]:
        return errors_of(self.problems)

    def _keys_of(self, error: Problem) -> set[Key]:
        if error.path in self.described.texts:
            path = self.described.described_at(error)
            if not (path or error.others):
                return self._named_in(error)
            error = replace(error, path=path)
        paths = (error.path, *error.others)
        return {key for path in paths for key in self._owners.get(path, ())}

    def _named_in(self, error: Problem) -> set[Key]:
        """What a YAML file may be about, if it is wrong as a whole: the models and seeds that it
        names, and where what is lost of it names none, all of its folder."""
        if is_of_others(self.described.texts[error.path]):
            return set()
        names = self.described.names_in(error.path)
        folder, hidden = error.path.rpartition("/")[0], error.path in self.described.hidden
        return {
            step.key
            for step in (draft.step for draft in self.drafts)
            if not names.isdisjoint((step.key.name.lower(), str(step.key).lower()))
            or (hidden and step.location.path.startswith(f"{folder}/"))
        }

    def _texts_of(self, step: Step, errors: Iterable[Problem]) -> str:
        """What may name the step's relation; "" if not all of it can be read."""
        paths = (step.location.path, *(it.path for it in errors if it.path in self.described.texts))
        texts = [self._texts.get(path, "") for path in paths]
        return "\n".join(texts) if all(texts) else ""

    def _of_checks(self, steps: Mapping[Key, Step]) -> Iterator[Step]:
        for file in (it for it in self.files if it.folder == "checks"):
            wrong = [error for error in self._errors if error.path == file.path]
            key = Key(file.folder, file.name)
            if wrong and file.path not in self._owners and key not in steps:
                self._owners[file.path] = {key}
                config = Config(group=file.folder)
                yield Step(key, "sql", Location(file.path), config, None, problems=tuple(wrong))


def with_errors(project: Project, problems: Iterable[Problem]) -> Project:
    """The project whose steps have those errors, too, that are in their files. They are shown
    without what Dagster may have refused of them."""
    steps = dict(project.steps)
    for error in errors_of(problems):
        for key, step in steps.items():
            if error.path == step.location.path:
                found = (*step.problems, error)
                bare = replace(
                    step.config,
                    owner=(),
                    tags=(),
                    meta=EMPTY,
                    pool=None,
                    automation=None,
                    freshness=None,
                )
                steps[key] = replace(step, problems=tuple(dict.fromkeys(found)), config=bare)
    return replace(project, steps=steps)


def _broken(step: Step, errors: Sequence[Problem], text: str) -> Step:
    """The step, which can only fail. It has no relation where its file may say another name for it
    and cannot be read."""
    config, relation = step.config, step.relation
    named = bool(config.alias or config.schema) or not _NAMING.search(text)
    if is_ephemeral(step):  # no query can stand in those that read it
        config = replace(config, materialized=_VIEW)
    if step.kind != "seed" and not (text and named):  # a seed is named in dagster_models.yaml
        relation = None
    problems = tuple(dict.fromkeys(errors))
    return replace(
        step,
        config=config,
        relation=relation,
        code_version="",
        trace=NOTHING_TRACED,
        problems=problems,
    )
