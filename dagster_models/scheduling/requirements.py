"""What the plan must know of a step beyond its upstreams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dagster_models.core.model import OnError


class OutputName(NamedTuple):
    """One of the outputs of a step, which may choose not to produce it."""

    step: str
    name: str


@dataclass(frozen=True, slots=True)
class StepRequirements:
    """What one step needs in order to start, and what follows if it fails.

    ``weight``: seconds of the heaviest path from the step's start to the run's end. ``priority``
    goes before weight. ``labels``: the limits that the step counts against. ``pool``: the Dagster
    pool that must grant it a slot before each attempt. ``on_error``: what its failure does to
    other steps. "skip_downstream" skips those that read from it; "continue" builds them on its
    previous version; "abort" stops the run, whatever ``fail_fast`` says.

    ``gates``: sets of outputs of upstreams. If all outputs of one gate are missing, as their steps
    chose not to produce them or were skipped for that reason, this step is skipped as well, and
    that is no failure. An ordinary input is a gate of one output, a fan-in is one of several.
    """

    weight: float = 1.0
    priority: int = 0
    retries: int = 0
    on_error: OnError = "skip_downstream"
    labels: tuple[str, ...] = ()
    pool: str | None = None
    gates: tuple[frozenset[OutputName], ...] = ()
