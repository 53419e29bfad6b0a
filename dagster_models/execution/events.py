"""What happens while steps are in flight: the words in which the worker pool and the loop's other
helpers tell the loop. Each bears the ``step`` that it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from dagster_models.core.messages import Outcome
from dagster_models.errors import WarehouseError
from dagster_models.processes.client.session import SessionIdentity


@dataclass(frozen=True, slots=True)
class Answered:
    """The worker's answer to a task."""

    step: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The task reached no worker: its warehouse cannot be reached, or it was canceled before
    (``errors.Canceled``)."""

    step: str
    error: WarehouseError


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is gone without an answer.

    ``killed``: by us, because it did not stop. ``session``: its session in the warehouse process,
    None if it had none.
    """

    step: str
    message: str
    killed: bool
    session: SessionIdentity | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Lines that a step wrote; ``stream`` is "stdout" or "stderr", ``text`` whole lines."""

    step: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The commit record was read. ``error``: it could not be, and nobody can tell."""

    step: str
    committed: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Spoke:
    """What a foreign step's process said: an event, None at its end, or the error it died of."""

    step: str
    attempt: int
    said: Any


@dataclass(frozen=True, slots=True)
class Previous:
    """Whether the relation of a step that failed can be read: an earlier run's. ``error``: why
    that could not be told."""

    step: str
    kept: bool
    error: str = ""


Happening: TypeAlias = Any
"""One of these, or what a call given to ``WorkerPool.call_soon`` returned."""
