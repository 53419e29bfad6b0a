"""``dagster-models results``: what the last run did, from its journal."""

from __future__ import annotations

import argparse
import sys

from dagster_models.cli.project import folder_of
from dagster_models.project.load import target_path_of
from dagster_models.reporting.journal import find_journal, read_journal
from dagster_models.reporting.terminal import Terminal

HELP = "print what the last run did"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(options: argparse.Namespace) -> int:
    contents = read_journal(find_journal(target_path_of(folder_of(options))))
    total = len(contents.header.steps) if contents.header else len(contents.steps)
    terminal = Terminal(sys.stdout, clock=lambda: "")
    for index, result in enumerate(contents.steps, start=1):
        terminal.finished(index, total, result)
    if contents.end is None:
        terminal.done(contents.steps, 0.0, unended=total)
    else:
        terminal.done(contents.steps, contents.end.seconds)
    return 0 if contents.end and contents.end.status == "success" else 1
