"""What can happen to a step: its states, the table of its moves, and the plan's vocabulary.

The plan (plan.py) makes no move that is not in ``TRANSITIONS``, and the tests draw their histories
from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

from dagster_models.scheduling.requirements import OutputName

FailFast: TypeAlias = Literal["false", "true", "drain"]


class State(Enum):
    WAITING = "waiting"  #: some upstream has not succeeded yet
    READY = "ready"  #: may start; waits for a slot, a limit, or the delay before its next attempt
    RUNNING = "running"  #: a worker has it
    CANCELING = "canceling"  #: running, and asked to stop
    IN_DOUBT = "in doubt"  #: its worker is gone; only the warehouse knows
    SUCCEEDED = "succeeded"  #: committed in this run
    FAILED = "failed"  #: rolled back by its own error
    CANCELED = "canceled"  #: started, then stopped on request and rolled back
    SKIPPED = "skipped"  #: never started
    UNCHANGED = "unchanged"  #: not started, as the warehouse holds what a build would make


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELED, State.SKIPPED, State.UNCHANGED})
#: What reads a step in one of these states can go on.
SERVED = frozenset({State.SUCCEEDED, State.UNCHANGED})
HOLDS_SLOT = frozenset({State.RUNNING, State.CANCELING})


class Cause(Enum):
    """Why a step moves; each comment names who decides it: the plan, the warehouse, the clock."""

    UNBLOCKED = "its last upstream succeeded"  # plan; or it failed with on_error: continue
    FOUND = "an earlier run committed it"  # warehouse, before the first step
    AS_IT_WAS = "its code and what it reads are as they were"  # the same, under only_changed
    UPSTREAM = "an upstream did not succeed"  # plan
    WITHHELD = "what it reads was not produced, by choice"  # plan
    STARTED = "given a slot"  # plan
    STOPPING = "the run is stopping"  # plan, or the executor with step=None
    GAVE_UP = "no further attempt, the run is stopping"  # plan
    COMMITTED = "committed"  # warehouse
    ROLLED_BACK = "rolled back"  # warehouse
    RETRY = "rolled back, attempts left"  # plan, out of ROLLED_BACK
    CANCELED = "canceled"  # warehouse
    TIMEOUT = "its timeout passed"  # clock
    TIMED_OUT = "canceled by its timeout"  # plan, out of CANCELED
    WORKER_LOST = "worker lost"  # the step's runner
    DELAY_OVER = "its delay is over"  # clock; no move
    CLAIMED = "its pool granted a slot"  # executor; no move
    BLOCKED = "its pool has no free slot"  # executor; no move
    HAS_PREVIOUS = "its previous version is there"  # warehouse, of a step that failed; no move
    NO_PREVIOUS = "it has no previous version"  # the same


_S, _C = State, Cause
TRANSITIONS: Mapping[tuple[State, Cause], State] = {
    (_S.WAITING, _C.UNBLOCKED): _S.READY,
    (_S.WAITING, _C.FOUND): _S.SUCCEEDED,  # by a run that this one re-executes from failure
    (_S.WAITING, _C.AS_IT_WAS): _S.UNCHANGED,
    (_S.WAITING, _C.UPSTREAM): _S.SKIPPED,
    (_S.WAITING, _C.WITHHELD): _S.SKIPPED,
    (_S.WAITING, _C.STOPPING): _S.SKIPPED,
    (_S.READY, _C.STOPPING): _S.SKIPPED,
    (_S.READY, _C.GAVE_UP): _S.FAILED,  # it was started and rolled back, so it is not skipped
    (_S.READY, _C.STARTED): _S.RUNNING,
    (_S.RUNNING, _C.COMMITTED): _S.SUCCEEDED,
    (_S.RUNNING, _C.RETRY): _S.READY,
    (_S.RUNNING, _C.ROLLED_BACK): _S.FAILED,
    (_S.RUNNING, _C.STOPPING): _S.CANCELING,
    (_S.RUNNING, _C.TIMEOUT): _S.CANCELING,
    (_S.RUNNING, _C.WORKER_LOST): _S.IN_DOUBT,
    (_S.CANCELING, _C.COMMITTED): _S.SUCCEEDED,  # the commit won the race
    (_S.CANCELING, _C.ROLLED_BACK): _S.FAILED,  # its own error came first
    (_S.CANCELING, _C.CANCELED): _S.CANCELED,
    (_S.CANCELING, _C.TIMED_OUT): _S.FAILED,
    (_S.CANCELING, _C.WORKER_LOST): _S.IN_DOUBT,
    (_S.IN_DOUBT, _C.COMMITTED): _S.SUCCEEDED,
    (_S.IN_DOUBT, _C.RETRY): _S.READY,
    (_S.IN_DOUBT, _C.ROLLED_BACK): _S.FAILED,
    (_S.IN_DOUBT, _C.CANCELED): _S.CANCELED,  # killed, as it did not stop when it was asked to
    (_S.IN_DOUBT, _C.TIMED_OUT): _S.FAILED,
}
del _S, _C


class Event(NamedTuple):
    """Something that happened to one step (or to the run, if ``step`` is None).

    ``withheld``, with COMMITTED: the outputs that the step chose not to produce (Dagster's optional
    outputs). ``final``, with ROLLED_BACK: another attempt would be in vain.
    """

    step: str | None
    cause: Cause
    withheld: frozenset[OutputName] = frozenset()
    final: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    """Hand the step to a worker; ``attempt`` counts from 1."""

    step: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Ask the step's Dagster pool for a slot, and answer with CLAIMED once it is granted.

    If it is not granted at once, answer with BLOCKED first: another step may then use the slot of
    the run that was kept for this one.
    """

    step: str


@dataclass(frozen=True, slots=True)
class ReportWait:
    """The step is ready, cannot start, and waits for *reason* from now on.

    The reason is ``slot``, ``retry delay``, ``pool <name>``, or the label of a limit that is
    reached.
    """

    step: str
    reason: str


SLOT = "slot"  #: reason of a ReportWait
RETRY_DELAY = "retry delay"  #: reason of a ReportWait


@dataclass(frozen=True, slots=True)
class Cancel:
    step: str


@dataclass(frozen=True, slots=True)
class AskWarehouse:
    """Find out whether the step's transaction was committed."""

    step: str


@dataclass(frozen=True, slots=True)
class AskPrevious:
    """The step failed, and those downstream go on all the same if they can: find out whether the
    relation of an earlier run exists, and answer with HAS_PREVIOUS or NO_PREVIOUS."""

    step: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Report the failed attempt; send DELAY_OVER after the delay of its retry policy."""

    step: str
    attempt: int


#: How many steps of a long path are named at each of its ends. A chain of a thousand skipped steps
#: would otherwise write half a million names, to each place that reports them.
PATH_ENDS = 3


@dataclass(frozen=True, slots=True)
class Report:
    """The step has reached a final state.

    ``cause`` is the step at the root of it, and ``path`` leads from there to this step (both ends
    included). ``cause`` is None where no step caused it, as when the user stops the run. A long
    path has only its first and last steps (``PATH_ENDS`` each): ``left_out`` is how many are
    missing in its middle.
    ``no_previous``: the cause has on_error: continue, and this step is skipped all the same, as
    the cause has no previous version. ``deliberate``: skipped, as the cause succeeded and chose not
    to produce what this step reads; that is no failure.
    """

    step: str
    state: State
    cause: str | None = None
    path: tuple[str, ...] = ()
    timed_out: bool = False
    no_previous: bool = False
    deliberate: bool = False
    left_out: int = 0


Instruction: TypeAlias = (
    Start | Claim | ReportWait | Cancel | AskWarehouse | AskPrevious | Retry | Report
)


class Transition(NamedTuple):
    """One line of a step's story."""

    start: State
    cause: Cause
    finish: State

    def __str__(self) -> str:
        return f"{self.start.value} --{self.cause.value}--> {self.finish.value}"
