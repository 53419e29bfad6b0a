"""``dagster-models explain [RUN] [SELECT]``: why a run took as long as it did, from its journal."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from dagster_models.cli.project import folder_of, load
from dagster_models.cli.selection import (
    add_words,
    facts_of,
    not_brought_to_an_end,
    project_nodes,
)
from dagster_models.errors import DagsterModelsError
from dagster_models.project.load import target_path_of
from dagster_models.project.selection import Facts, select
from dagster_models.reporting.explain import explain
from dagster_models.reporting.explain_text import run_lines, step_lines
from dagster_models.reporting.journal import JournalContents, find_journal, read_journal
from dagster_models.util.nearest import nearest

HELP = "print why a run took as long as it did"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_help = "the run's id or its beginning (default: last, the run that wrote its journal last)"
    parser.add_argument("run_id", nargs="?", default="last", metavar="RUN", help=run_help)
    only = "only what became of these steps"
    add_words(parser, only)
    parser.add_argument("--steps", action="store_true", help="what became of every step, too")


def run(options: argparse.Namespace) -> int:
    root = folder_of(options)
    path = find_journal(target_path_of(root), options.run_id)
    contents = read_journal(path)
    explanation = explain(contents)
    if explanation is None or contents.header is None:
        raise DagsterModelsError(f"{path} is damaged: its first line does not name the run")
    stories = {
        result.step: step_lines(explanation, result, contents.header) for result in contents.steps
    }
    if options.selection or options.exclude:
        chosen = _selected(root, contents, options)
        lines = [line for name in chosen for line in ("", *stories[name])][1:]
    else:
        lines = run_lines(explanation, contents.header)
        if options.steps:
            lines += [line for story in stories.values() for line in ("", *story)]
    print("\n".join(lines))
    return 0


def _selected(root: Path, contents: JournalContents, options: argparse.Namespace) -> list[str]:
    """The steps of the run that the options select. A single name may be that of a step that the
    project no longer has; anything else is asked of the project as it is.

    Raises:
        DagsterModelsError: no step of the run is selected.
    """
    steps = [result.step for result in contents.steps]
    words = options.selection
    if len(words) == 1 and not options.exclude:
        found = [step for step in steps if words[0] in (step, step.partition(".")[2])]
        if len(found) == 1:
            return found
        if found:
            raise DagsterModelsError(
                f"{words[0]!r} may be {' or '.join(found)}: write the schema too"
            )
        if re.fullmatch(r"[\w.]+", words[0]) and words[0] not in ("changed", "failed"):
            known = {it: step for step in steps for it in (step, step.partition(".")[2])}
            close = dict.fromkeys(known[it] for it in nearest(words[0], known, 3))
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            what = f"the run ended no step named {words[0]!r}{hint}"
            _refuse_unless_schema(words[0], steps, what)
    project = load(root, columns=False, whole=False)
    text, exclude = " ".join(words), " ".join(options.exclude)
    failed = [it.step for it in contents.steps if not_brought_to_an_end(it)]
    facts = Facts(facts_of(project, None).changed, lambda: failed)
    names = set(select(project_nodes(project), text, facts, exclude))
    chosen = [step for step in steps if step in names]
    if not chosen:
        raise DagsterModelsError("the run ended no step that is selected")
    return chosen


def _refuse_unless_schema(word: str, steps: Sequence[str], what: str) -> None:
    if not any(step.startswith(f"{word}.") for step in steps):
        raise DagsterModelsError(what)
