"""Worker events: what runners and lookups report to the loop. ``step`` is the key of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from dagster_models.core.messages import Outcome
from dagster_models.errors import WarehouseError
from dagster_models.processes.client.channel import SessionIdentity

if TYPE_CHECKING:
    from dagster import DagsterEvent


@dataclass(frozen=True, slots=True)
class Output:
    """Lines that a step wrote; ``stream`` is "stdout" or "stderr", ``text`` whole lines."""

    step: str
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The worker's answer to a task."""

    step: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class NotStarted:
    """No worker ever had the task: its warehouse cannot be reached, or it was canceled before
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
class ForeignEvent:
    """A DagsterEvent of a foreign step, which its process has written to the event log."""

    step: str
    attempt: int
    event: DagsterEvent


@dataclass(frozen=True, slots=True)
class ForeignEnd:
    """The process of a foreign step is over. ``error``: what it died of, if it died."""

    step: str
    attempt: int
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Whether a lost step has its commit records. ``error``: why that is unknown, else "".
    ``partitions``: the keys of those that are committed."""

    step: str
    committed: bool
    error: str = ""
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreviousVersion:
    """Whether the relation of a step that failed is there, from an earlier run.

    ``error``: why that is unknown, else "".
    """

    step: str
    exists: bool
    error: str = ""


WorkerEvent: TypeAlias = (
    Output | Answered | NotStarted | Lost | ForeignEvent | ForeignEnd | Settled | PreviousVersion
)
