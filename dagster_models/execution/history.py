"""How long steps took before, from Dagster's own event log: what critical path first goes by."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter

RUNS = 3  #: so many runs back: a median of more is hardly another one, and costs a query each
SECONDS = 1.0  #: no further run is read after this

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def step_seconds_or_none(instance: DagsterInstance, job_name: str) -> tuple[dict[str, float], str]:
    """``step_seconds``, and "" or why there are none: what only decides the order fails no run."""
    try:
        return step_seconds(instance, job_name), ""
    except Exception as error:
        return {}, f"{type(error).__name__}: {error}"


def step_seconds(instance: DagsterInstance, job_name: str) -> dict[str, float]:
    """Step key -> the median duration in the last runs of the job, of steps that succeeded there.

    One query for each run, whatever their number of steps. Empty where there is no past.

    Raises:
        Exception: whatever the event log raises; a run is as good without a past.
    """
    deadline = time.monotonic() + SECONDS
    found: dict[str, list[float]] = defaultdict(list)
    for run in instance.get_runs(RunsFilter(job_name=job_name, statuses=_ENDED), limit=RUNS):
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_SUCCESS):
            event = entry.dagster_event
            if event is not None and event.step_key is not None:
                found[event.step_key].append(event.step_success_data.duration_ms / 1000)
        if time.monotonic() > deadline:
            break
    return {step: statistics.median(seconds) for step, seconds in found.items()}
