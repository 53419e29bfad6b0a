"""``dagster-models explain [RUN] [SELECT]``: why a run took as long as it did, from its journal."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from dagster_models.cli.explained import add_run, explained
from dagster_models.cli.project import folder_of, load
from dagster_models.cli.selection import (
    add_words,
    facts_of,
    not_brought_to_an_end,
    project_nodes,
)
from dagster_models.errors import DagsterModelsError
from dagster_models.project.selection import Facts, select
from dagster_models.reporting.explain_text import run_lines, step_lines
from dagster_models.reporting.results import StepResult
from dagster_models.util.nearest import nearest

HELP = "print why a run took as long as it did"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    only = "only what became of these steps"
    add_words(parser, only)
    parser.add_argument("--steps", action="store_true", help="what became of every step, too")


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    past = explained(root, options.run_id)
    stories = {it.step: step_lines(past.explanation, it, past.header) for it in past.steps}
    if options.selection or options.exclude:
        chosen = _selected(root, past.steps, options)
        lines = [line for name in chosen for line in ("", *stories[name])][1:]
    else:
        lines = run_lines(past.explanation, past.header)
        if options.steps:
            lines += [line for story in stories.values() for line in ("", *story)]
    print("\n".join(lines))
    return 0


def _selected(root: Path, results: Sequence[StepResult], options: argparse.Namespace) -> list[str]:
    """The steps of the run that the options select. A single name may be that of a step that the
    project no longer has; anything else is asked of the project as it is.

    Raises:
        DagsterModelsError: no step of the run is selected.
    """
    steps = [result.step for result in results]
    words = options.selection
    if len(words) == 1 and not options.exclude:
        found = [step for step in steps if words[0] in (step, step.partition(".")[2])]
        if len(found) == 1:
            return found
        if found:
            raise DagsterModelsError(
                f"{words[0]!r} may be {' or '.join(found)}: write the schema too"
            )
        is_schema = any(step.startswith(f"{words[0]}.") for step in steps)
        is_name = re.fullmatch(r"[\w.]+", words[0]) and words[0] not in ("changed", "failed")
        if is_name and not is_schema:
            known = {it: step for step in steps for it in (step, step.partition(".")[2])}
            close = dict.fromkeys(known[it] for it in nearest(words[0], known, 3))
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise DagsterModelsError(f"the run ended no step named {words[0]!r}{hint}")
    project = load(root, columns=False, whole=False)
    text, exclude = " ".join(words), " ".join(options.exclude)
    failed = [it.step for it in results if not_brought_to_an_end(it)]
    facts = Facts(facts_of(project, None).changed, lambda: failed)
    names = set(select(project_nodes(project), text, facts, exclude))
    chosen = [step for step in steps if step in names]
    if not chosen:
        raise DagsterModelsError("the run ended no step that is selected")
    return chosen
