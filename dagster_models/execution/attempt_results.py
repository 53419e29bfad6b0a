"""How the executor hands the result of an attempt to the compute function that Dagster calls.

The step's generator is parked while a worker works (see own_steps.py). When the outcome is there
the generator is exhausted: Dagster calls the asset's compute function, which takes its result from
here. A compute function that finds no result runs under another executor, and runs the step itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster_models.compilation.tasks import TargetStep
from dagster_models.core.messages import Outcome
from dagster_models.reporting.results import StepResult

if TYPE_CHECKING:  # the import takes a second, and commands run steps alone without it
    from dagster import AssetKey


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What became of one attempt of a step on its target.

    ``result`` is what all reports of it are written from, ``outcome`` what the runner reported.
    ``cause``: the asset of the root cause, if another step's failure stopped this one.
    ``retry_after_seconds``: the delay of the next attempt, None if there is none. ``decided``: the
    plan has decided whether there is one; if not, Dagster's RetryPolicy does.
    """

    target_step: TargetStep
    result: StepResult
    outcome: Outcome
    retry_after_seconds: float | None = None
    decided: bool = True
    sql: str = ""  #: as it was sent to the warehouse
    cause: AssetKey | None = None


_results: dict[tuple[str, str], AttemptResult] = {}


def give(run_id: str, step_key: str, result: AttemptResult) -> None:
    _results[run_id, step_key] = result


def take(run_id: str, step_key: str) -> AttemptResult | None:
    return _results.pop((run_id, step_key), None)
