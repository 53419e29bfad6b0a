"""The jobs and schedules that a project's file names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dagster_models.core.model import EMPTY, Location


@dataclass(frozen=True, slots=True)
class Schedule:
    """``partition``: "last" if each run builds the last complete partition of the job's models, and
    ``lookback`` before it; "" if they have none. Then ``cron`` and ``timezone`` may be "", which
    stands for those of the partitions. ``wait_for_fresh`` are sources, each with its place: while
    one is stale, no run is launched. ``running``: it is turned on where nobody has turned it on or
    off in the UI. ``tags`` are those of its runs, beside the job's."""

    name: str
    job: str
    cron: str
    timezone: str = "UTC"
    partition: str = ""
    lookback: int = 0
    wait_for_fresh: tuple[tuple[str, Location], ...] = ()
    running: bool = False
    tags: Mapping[str, str] = EMPTY
    description: str = ""
    location: Location = field(default=Location("dagster_models.yaml"), compare=False)


@dataclass(frozen=True, slots=True)
class Job:
    """A named selection of the project's assets: see ``project.selection``, or Dagster's syntax.
    ``only_checks``: it runs their checks, those of sources too, and builds nothing. ``implied``: it
    is the one job of a project that names none."""

    name: str
    selection: str = "*"
    description: str = ""
    tags: Mapping[str, str] = EMPTY
    only_checks: bool = False
    implied: bool = False
    location: Location = field(default=Location("dagster_models.yaml"), compare=False)
