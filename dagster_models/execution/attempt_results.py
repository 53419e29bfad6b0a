"""How the executor hands a finished attempt to the compute function that Dagster calls for it.

The step's generator is parked while a worker works (see own_steps.py). When the outcome is there
the generator is exhausted: Dagster calls the asset's compute function, which takes its result from
here. A compute function that finds none runs under another executor and does the work itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from dagster_models.core.messages import Outcome
from dagster_models.scheduling.states import State


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What became of one attempt of a step.

    ``state`` READY means: rolled back, another attempt follows after ``delay_seconds``. ``message``
    says in one sentence why it did not succeed, "" if it did. ``decided``: the plan has settled
    whether there is another attempt; if not, Dagster's RetryPolicy does.
    """

    outcome: Outcome
    state: State
    message: str = ""
    delay_seconds: float = 0.0
    decided: bool = True
    sql: str = ""  #: as it was sent to the warehouse
    committed_in: str = ""  #: the earlier run that committed it; "" is this one
    built_on_previous: tuple[str, ...] = ()  #: upstreams that failed in this run


_results: dict[tuple[str, str], AttemptResult] = {}


def give(run_id: str, step_key: str, result: AttemptResult) -> None:
    _results[run_id, step_key] = result


def take(run_id: str, step_key: str) -> AttemptResult | None:
    return _results.pop((run_id, step_key), None)
