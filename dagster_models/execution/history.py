"""How long steps took before, from Dagster's event log; the critical path is based on it."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from dagster import DagsterEventType, DagsterInstance, DagsterRunStatus, RunsFilter

RUNS = 3  #: how many runs are read: more would hardly change a median, and each costs a query
SECONDS = 1.0  #: after this, no further run is read

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def step_seconds_or_none(instance: DagsterInstance, job_name: str) -> tuple[dict[str, float], str]:
    """``step_seconds`` and "", or nothing and the reason: only the order of steps depends on it,
    which is no reason to fail a run."""
    try:
        return step_seconds(instance, job_name), ""
    except Exception as error:
        return {}, f"{type(error).__name__}: {error}"


def step_seconds(instance: DagsterInstance, job_name: str) -> dict[str, float]:
    """Step key -> its median duration in the last runs of the job in which it succeeded.

    This takes one query per run, however many steps it had. Empty for a job that never ran.

    Raises:
        Exception: whatever the event log raises.
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
