"""``dagster-models check``: a project's problems for people, programs and GitHub's workflows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from dagster_models.core.model import Project, Source, Step
from dagster_models.errors import Problem, ProjectError

FORMATS = ("human", "json", "github")


def errors_among(problems: Sequence[Problem]) -> int:
    return sum(problem.severity == "error" for problem in problems)


def refusals(project: Project) -> list[Problem]:
    """What Dagster refuses of a project that is right by itself. That a job selects nothing is a
    warning here: it may select assets which only ``load_project(assets=...)`` knows."""
    from dagster_models.definitions.build import build  # a second, for this command alone

    target = project.targets.get(project.default_target)
    any_target = target or next(iter(project.targets.values()))
    return build(project, any_target, of_empty_jobs="warning")[1]


def refuse_broken(project: Project, item: Step | Source) -> None:
    """Of a project that was loaded although some of its files are wrong.

    Raises:
        ProjectError: the item's own file is one of them.
    """
    wrong = [p for p in project.warnings if p.severity == "error" and p.path == item.location.path]
    if wrong:
        raise ProjectError(wrong)


def others_broken(project: Project) -> str:
    """A line that says that other files are wrong; "" if none is."""
    errors = errors_among(project.warnings)
    if not errors:
        return ""
    count = f"{errors} error{'s' if errors != 1 else ''}"
    return f"{count} in the project, left aside here: `dagster-models check` tells them"


def report(problems: Sequence[Problem], format_: str, root: Path, good: str) -> str:
    """All *problems*; *good* is what to say in words when none of them is an error."""
    if format_ == "json":
        return _json(problems)
    if format_ == "github":
        return "\n".join(_annotations(problems, root))
    errors = errors_among(problems)
    end = f"{errors} error{'s' if errors != 1 else ''}" if errors else good
    return "\n".join([*map(str, problems), end])


def _json(problems: Sequence[Problem]) -> str:
    errors = errors_among(problems)
    data = {
        "errors": errors,
        "warnings": len(problems) - errors,
        "problems": [
            {
                "severity": problem.severity,
                "file": problem.path,
                "line": problem.line,
                "column": problem.column,
                "message": problem.what,
                "fix": problem.fix,
            }
            for problem in problems
        ],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _annotations(problems: Sequence[Problem], root: Path) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request. Its paths are
    relative to the repository, where a workflow runs.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    workspace = os.environ.get("GITHUB_WORKSPACE") or os.getcwd()
    for problem in problems:
        path = os.path.relpath(root.resolve() / problem.path, os.path.realpath(workspace))
        place = f"file={_property(path)},line={problem.line},col={problem.column}"
        message = f"{problem.what}\n{problem.fix}".strip()
        yield f"::{problem.severity} {place}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
