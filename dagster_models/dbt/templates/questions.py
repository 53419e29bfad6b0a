"""What a template asks for beside its own text and the macros, with the answers: a text that is
kept is right as long as all of them are the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from dagster_models.dbt.templates.names import ProjectNames
from dagster_models.project.templates import ModelTemplate, TemplateProject

Question: TypeAlias = "tuple[str, ...]"
"""What is asked (`var`, `env_var`, `target`, `ref`), and what about."""

_NONE: Any = object()


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers for one template, as digests: a value may be a secret of the environment."""

    project: TemplateProject
    names: ProjectNames
    template: ModelTemplate

    def of(self, question: Question) -> str:
        kind, *about = question
        if kind == "ref":
            name, package, version = about
            answer: Any = [*map(tuple, self.names.find(name, package or None, version or None))]
        else:
            source: Mapping[str, Any] = {
                "var": self.template.variables,
                "env_var": self.project.environ,
                "target": self.project.target,
            }[kind]
            answer = source.get(about[0], _NONE)
            answer = "nothing" if answer is _NONE else repr(answer)
        return hashlib.sha256(repr(answer).encode("utf-8", "surrogatepass")).hexdigest()
