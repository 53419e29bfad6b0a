"""What earlier runs have left: how long steps took, and the files as they were."""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from dagster_models.reporting.explain import explain
from dagster_models.reporting.journal import journals, read_journal
from dagster_models.reporting.results import StepResult

RUNS = 5  #: how many builds of a step its median is of: more would hardly change it
JOURNALS = 20  #: how many journals are looked through for them


def step_seconds(target_folder: str | Path, target: str) -> dict[str, float]:
    """Step -> the median of how long its last builds on the target were in flight."""
    found: dict[str, list[float]] = defaultdict(list)
    for path in journals(target_folder)[:JOURNALS]:
        with contextlib.suppress(OSError):  # another run has just removed it
            contents = read_journal(path)
            explanation = explain(contents)
            if explanation is None or contents.header is None or contents.header.target != target:
                continue
            built = {it.step for it in contents.steps if it.started_at and it.kind != "checks"}
            for span in explanation.spans.values():
                seconds = found[span.step]
                if span.state == "succeeded" and span.step in built and len(seconds) < RUNS:
                    seconds.append(span.flight_seconds)
    return {step: statistics.median(seconds) for step, seconds in found.items() if seconds}


def source_as_built(root: Path) -> Callable[[StepResult], str]:
    """What returns the file of a step of the project in *root*, "" if somebody may have written to
    it since the step ended."""

    def source_of(result: StepResult) -> str:
        path = root / result.file
        with contextlib.suppress(OSError):
            if result.ended_at is not None and path.stat().st_mtime <= result.ended_at:
                return path.read_text(encoding="utf-8", errors="replace")
        return ""

    return source_of
