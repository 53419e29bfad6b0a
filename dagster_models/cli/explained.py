"""A past run that a command is about: its journal, and why it took as long as it did."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from dagster_models.errors import DagsterModelsError
from dagster_models.project.load import target_path_of
from dagster_models.reporting.explain import Explanation, explain
from dagster_models.reporting.journal import find_journal, read_journal
from dagster_models.reporting.results import RunHeader, StepResult


class Explained(NamedTuple):
    """``journal``: its file; ``steps``: the results of those that have ended."""

    journal: Path
    explanation: Explanation
    header: RunHeader
    steps: tuple[StepResult, ...]


def add_run(parser: argparse.ArgumentParser) -> None:
    text = "the run's id or its beginning (default: last, the run that wrote its journal last)"
    parser.add_argument("run_id", nargs="?", default="last", metavar="RUN", help=text)


def explained(root: Path, run_id: str) -> Explained:
    """The run of the project in *root*, found by its id or the beginning of it.

    Raises:
        DagsterModelsError: no journal matches, several do, or it does not name the run.
    """
    journal = find_journal(target_path_of(root), run_id)
    contents = read_journal(journal)
    explanation = explain(contents)
    if explanation is None or contents.header is None:
        raise DagsterModelsError(f"{journal} is damaged: its first line does not name the run")
    return Explained(journal, explanation, contents.header, contents.steps)
