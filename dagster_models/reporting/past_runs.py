"""How long steps took before, from the journals of earlier runs."""

from __future__ import annotations

import contextlib
import statistics
from collections import defaultdict
from pathlib import Path

from dagster_models.reporting.explain import explain
from dagster_models.reporting.journal import journals, read_journal

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
