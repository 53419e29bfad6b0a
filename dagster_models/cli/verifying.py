"""``import-dbt --verify`` and ``--verify-tables``: what was written, beside what dbt makes."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from dagster_models.cli.project import load
from dagster_models.dbt.importing import Imported
from dagster_models.dbt.project.manifest import Manifest
from dagster_models.dbt.verification.compiled_texts import compiled_texts
from dagster_models.dbt.verification.relations import RelationResult, RelationState
from dagster_models.dbt.verification.report import Verification
from dagster_models.dbt.verification.tests import ResultState, TestResult
from dagster_models.dbt.verification.texts import TextState, verify_texts
from dagster_models.dbt.writing import WrittenFiles

_SHOWN = 10  #: differences that the terminal names


def verified(
    options: argparse.Namespace,
    manifest: Manifest,
    imported: Imported,
    done: WrittenFiles,
    into: Path,
) -> Verification:
    """What the options ask for. *done*: the files in the folder *into*.

    Raises:
        ProjectError: the project that was written does not load.
    """
    found = Verification()
    if options.verify:
        project = load(into, columns=False, whole=False)
        texts = compiled_texts(manifest, options.compiled)
        edited = frozenset((*done.kept, *done.conflicts))
        found = replace(
            found, texts=verify_texts(manifest, texts, project, imported.report, edited)
        )
    if options.verify_tables:
        from dagster_models.cli.verifying_tables import verified_tables  # which few imports need

        relations, tests = verified_tables(options, manifest, imported, into)
        found = replace(found, relations=relations, tests=tests)
    return found


def verification_lines(found: Verification) -> Iterator[str]:
    """The summary for a terminal."""
    if found.texts:
        yield f"Texts beside what dbt has compiled: {_counted(it.state for it in found.texts)}"
        for of_text in (TextState.DIFFERS, TextState.NOT_COMPARED):
            texts = [f"{it.path}: {it.what}" for it in found.texts if it.state is of_text]
            yield from _some(texts, of_text.value)
        equal = (it for it in found.texts if it.state is TextState.EQUAL)
        alone = [it.path for it in equal if len(it.sides) == 1]
        if alone:
            yield (
                f"  one side of is_incremental() alone: {', '.join(alone[:_SHOWN])}"
                f"{_more(len(alone))}. `--compiled` names what dbt has compiled of the other side"
            )
    if found.relations:
        yield f"Relations beside those of dbt: {_counted(it.state for it in found.relations)}"
        for state in (RelationState.DIFFERS, RelationState.MOMENT, RelationState.NOT_COMPARED):
            yield from _some(
                [_relation(it) for it in found.relations if it.state is state], state.value
            )
    if found.tests:
        yield f"Tests beside those of dbt: {_counted(it.state for it in found.tests)}"
        for of in (ResultState.DIFFERS, ResultState.MOMENT, ResultState.NOT_COMPARED):
            yield from _some([_test(it) for it in found.tests if it.state is of], of.value)


def _counted(states: Iterable[TextState | RelationState | ResultState]) -> str:
    counts = Counter(it.value for it in states)
    return ", ".join(f"{count} {it}" for it, count in sorted(counts.items(), key=_equal_first))


def _equal_first(it: tuple[str, int]) -> tuple[bool, str]:
    return it[0] != TextState.EQUAL.value, it[0]


def _relation(it: RelationResult) -> str:
    texts = (it.rows_that_differ, it.columns_that_differ, *it.notes)
    return f"{it.name}: {'; '.join(filter(None, texts))}"


def _test(it: TestResult) -> str:
    results = f"{it.theirs} in dbt, {it.ours} here" if it.theirs and it.ours else ""
    return f"{it.name}: {'; '.join(filter(None, (results, it.note)))}"


def _some(lines: list[str], word: str) -> Iterator[str]:
    for line in lines[:_SHOWN]:
        yield f"  {word}: {line}"
    if len(lines) > _SHOWN:
        yield f"  {word}:{_more(len(lines))}, which the report has"


def _more(count: int) -> str:
    return f" and {count - _SHOWN} more" if count > _SHOWN else ""
