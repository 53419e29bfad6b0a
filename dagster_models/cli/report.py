"""``dagster-models report [RUN]``: a run on one page of HTML, from its journal."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dagster_models.cli.project import folder_of
from dagster_models.errors import DagsterModelsError
from dagster_models.pages.run_report import run_report
from dagster_models.project.load import target_path_of
from dagster_models.reporting.explain import explain
from dagster_models.reporting.journal import find_journal, read_journal
from dagster_models.reporting.results import StepResult
from dagster_models.util.atomic_file import replace_file

HELP = "write a page about a run: slots over time, failures, checks, critical path"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_help = "the run's id or its beginning (default: last, the run that wrote its journal last)"
    parser.add_argument("run_id", nargs="?", default="last", metavar="RUN", help=run_help)
    text = "the file to write (default: beside the run's journal, in target/runs)"
    parser.add_argument("--output", type=Path, metavar="FILE", help=text)


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    journal = find_journal(target_path_of(root), options.run_id)
    contents = read_journal(journal)
    explanation = explain(contents)
    if explanation is None or contents.header is None:
        raise DagsterModelsError(f"{journal} is damaged: its first line does not name the run")

    def source_of(result: StepResult) -> str:
        """The file of a step, unless somebody has written to it since the step ended."""
        path = root / result.file
        try:
            if result.ended_at is not None and path.stat().st_mtime <= result.ended_at:
                return path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            pass
        return ""

    path = options.output or journal.with_suffix(".html")
    try:
        replace_file(path, run_report(explanation, contents.header, contents.steps, source_of))
    except OSError as error:
        raise DagsterModelsError(f"{path} cannot be written: {error.strerror}") from error
    print(os.path.relpath(path))
    return 0
