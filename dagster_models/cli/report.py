"""``dagster-models report [RUN]``: a run on one page of HTML, from its journal."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dagster_models.cli.explained import add_run, explained
from dagster_models.cli.project import folder_of
from dagster_models.cli.writing import writing
from dagster_models.pages.run_report import run_report
from dagster_models.reporting.past_runs import source_as_built
from dagster_models.util.atomic_file import replace_file

HELP = "write a page about a run: slots over time, failures, checks, critical path"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    text = "the file to write (default: beside the run's journal, in target/runs)"
    parser.add_argument("--output", type=Path, metavar="FILE", help=text)


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    past = explained(root, options.run_id)
    path = options.output or past.journal.with_suffix(".html")
    page = run_report(past.explanation, past.header, past.steps, source_as_built(root))
    with writing(path):
        replace_file(path, page)
    print(os.path.relpath(path))
    return 0
