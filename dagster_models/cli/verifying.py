"""``import-dbt --verify`` and ``--verify-tables``: what was written, beside what dbt makes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from dagster_models.cli.project import load
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.report import ImportReport
from dagster_models.dbt.verification.compiled_texts import compiled_texts
from dagster_models.dbt.verification.report import Verification
from dagster_models.dbt.verification.texts import TextState, verify_texts

_SHOWN = 10  #: differences that the terminal names


def add_verify(parser: argparse.ArgumentParser) -> None:
    text = "compare each model's text with what dbt has compiled; exit code 1 if one differs"
    parser.add_argument("--verify", action="store_true", help=text)
    text = (
        "what else dbt has compiled, for --verify: a target folder or a manifest.json, as that of"
        " `dbt compile --full-refresh --target-path FOLDER`"
    )
    parser.add_argument(
        "--compiled", type=Path, action="append", default=[], metavar="PATH", help=text
    )


def verified(
    options: argparse.Namespace, manifest: Manifest, report: ImportReport, into: Path
) -> Verification | None:
    """What the options ask for; None if that is nothing.

    Raises:
        ProjectError: the project that was written does not load.
    """
    if not options.verify:
        return None
    project = load(into, columns=False, whole=False)
    texts = compiled_texts(manifest, options.compiled)
    edited = frozenset((*report.files.get("kept", ()), *report.files.get("conflicts", ())))
    return Verification(verify_texts(manifest, texts, project, report, edited))


def verification_lines(found: Verification) -> Iterator[str]:
    """The summary for a terminal."""
    if found.texts:
        counts = Counter(it.state for it in found.texts)
        shown = ", ".join(f"{counts[it]} {it.value}" for it in TextState if counts[it])
        yield f"Texts beside what dbt has compiled: {shown}"
        for state in (TextState.DIFFERS, TextState.NOT_COMPARED):
            lines = [(it.path, it.what) for it in found.texts if it.state is state]
            yield from _some([f"{path}: {what}" for path, what in lines], state.value)
        alone = [
            it.path for it in found.texts if it.state is TextState.EQUAL and len(it.sides) == 1
        ]
        if alone:
            yield (
                f"  one side of is_incremental() alone: {', '.join(alone[:_SHOWN])}"
                f"{_more(len(alone))}. `--compiled` names what dbt has compiled of the other side"
            )


def _some(lines: list[str], word: str) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"  {word}: {line}"
    if len(lines) > _SHOWN:
        yield f"  {word}:{_more(len(lines))}, which the report has"


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""
