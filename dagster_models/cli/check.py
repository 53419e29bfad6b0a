"""``dagster-models check``: a project's problems for people, programs and GitHub's workflows.

With ``--watch`` it reports them again after each change of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from dagster_models.cli.project import (
    NO_MODELS,
    add_vars,
    counted,
    errors_among,
    folder_of,
    given_by,
    load,
)
from dagster_models.cli.watching import changes
from dagster_models.core.model import Project
from dagster_models.errors import Problem, ProjectError
from dagster_models.project.dbt_folders import unread_dbt_folders
from dagster_models.project.load import target_path_of
from dagster_models.project.unit_tests.read import read_unit_tests

HELP = "report all problems of the project"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = ("human", "json", "github", "sarif")
    parser.add_argument("--format", choices=formats, default="human", help="default: human")
    text = "report again after each change of a file, until Ctrl-C"
    parser.add_argument("--watch", action="store_true", help=text)
    add_vars(parser)


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    if options.watch:
        return watch(root, options)
    good = ""
    try:
        project = load(root, given=given_by(options))
        of_tests: list[Problem] = []
        read_unit_tests(project, of_tests.append)
        problems: Sequence[Problem] = [*project.warnings, *refusals(project), *of_tests]
        problems = [*problems, *unread_dbt_folders(root)]
        good = f"No errors in {counted(len(project.steps), 'step')} of {project.name}."
        good += "" if project.steps else f" {NO_MODELS}"
    except ProjectError as error:
        problems = error.problems
    if text := report(problems, options.format, root, good):
        print(text)
    return 1 if errors_among(problems) else 0


def watch(root: Path, options: argparse.Namespace) -> int:
    """Check again after each change, in a process of its own, which has no module of before."""
    command = [sys.executable, "-m", "dagster_models.cli", "check", "--project", str(root)]
    command += ["--format", options.format, *(["--vars", options.vars] if options.vars else [])]
    for names in changes(root, Path(target_path_of(root))):
        if names:
            print(f"\n--- {', '.join(names)}", flush=True)
        subprocess.run(command, check=False)
    raise AssertionError("changes() does not end")


def refusals(project: Project) -> list[Problem]:
    """What Dagster refuses in a project that is right by itself. That a job selects nothing is a
    warning here: it may select assets that only ``load_project(assets=...)`` knows."""
    from dagster_models.definitions.build import build  # a second, for this command alone

    target = project.targets.get(project.default_target)
    any_target = target or next(iter(project.targets.values()))
    return build(project, any_target, empty_job_severity="warning")[1]


def report(problems: Sequence[Problem], format_: str, root: Path, good: str) -> str:
    """The text that reports all *problems*; for people it ends in *good* if none is an error."""
    if format_ == "json":
        return _json(problems)
    if format_ == "github":
        return "\n".join(_annotations(problems, root))
    if format_ == "sarif":
        return _sarif(problems, root)
    errors = errors_among(problems)
    return "\n".join([*map(str, problems), counted(errors, "error") if errors else good])


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


def _sarif(problems: Sequence[Problem], root: Path) -> str:
    """A log that GitHub's code scanning, GitLab and editors read. Paths as in _annotations.

    https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
    """
    results = [
        {
            "ruleId": "dagster-models",
            "level": problem.severity,
            "message": {"text": f"{problem.what}\n{problem.fix}".strip()},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": quote(_in_workspace(problem.path, root))},
                        "region": {
                            "startLine": max(problem.line, 1),
                            "startColumn": max(problem.column, 1),
                        },
                    }
                }
            ],
        }
        for problem in problems
    ]
    driver = {"name": "dagster-models", "rules": [{"id": "dagster-models"}]}
    # Columns of ours are characters, as an editor counts them.
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    data = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return json.dumps(data, indent=2, ensure_ascii=False)


def _in_workspace(path: str, root: Path) -> str:
    """A path of the project, relative to the repository, where a workflow runs."""
    workspace = os.environ.get("GITHUB_WORKSPACE") or os.getcwd()
    return os.path.relpath(root.resolve() / path, os.path.realpath(workspace))


def _annotations(problems: Sequence[Problem], root: Path) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a pull request.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    for problem in problems:
        path = _in_workspace(problem.path, root)
        place = f"file={_property(path)},line={problem.line},col={problem.column}"
        message = f"{problem.what}\n{problem.fix}".strip()
        yield f"::{problem.severity} {place}::{_message(message)}"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
