"""``dagster-models explain [RUN] [STEP]``: why a run took as long as it did, from its journal."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from dagster_models.cli.project import folder_of
from dagster_models.errors import DagsterModelsError
from dagster_models.project.load import target_path_of
from dagster_models.reporting.explain import explain
from dagster_models.reporting.explain_text import run_lines, step_lines
from dagster_models.reporting.journal import find_journal, read_journal
from dagster_models.util.nearest import nearest

HELP = "print why a run took as long as it did"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_help = "the run's id or its beginning (default: last, the run that wrote its journal last)"
    parser.add_argument("run_id", nargs="?", default="last", metavar="RUN", help=run_help)
    parser.add_argument("step", nargs="?", metavar="STEP", help="only what became of this step")
    parser.add_argument("--steps", action="store_true", help="what became of every step, too")


def run(options: argparse.Namespace) -> int:
    path = find_journal(target_path_of(folder_of(options)), options.run_id)
    contents = read_journal(path)
    explanation = explain(contents)
    if explanation is None or contents.header is None:
        raise DagsterModelsError(f"{path} is damaged: its first line does not name the run")
    stories = {
        result.step: step_lines(explanation, result, contents.header) for result in contents.steps
    }
    if options.step is not None:
        lines = stories[_find(options.step, stories)]
    else:
        lines = run_lines(explanation, contents.header)
        if options.steps:
            lines += [line for story in stories.values() for line in ("", *story)]
    print("\n".join(lines))
    return 0


def _find(name: str, steps: Collection[str]) -> str:
    """The one of *steps* that is called *name*, with or without its schema."""
    found = [step for step in steps if name in (step, step.partition(".")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise DagsterModelsError(f"{name!r} may be {' or '.join(found)}: write the schema too")
    close = nearest(name, steps, 3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise DagsterModelsError(f"the run ended no step named {name!r}{hint}")
