"""Why a run took as long as it did, from its journal alone. Pure: it needs no clock and no file.

    explain(read_journal(path)) -> Explanation

All moments and durations are in seconds, moments since the run began. A step's time consists of
what the journal knows of it::

    upstreams end ── delay ── ready ── waited {slot: 0.4, pool x: 2.0} ── in flight ── end

The *critical path* is the chain of steps that decided when the run ended: the step that ended last,
before it the one of its upstreams that ended last, and so on. The delays, waits and flights along
it add up to the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_models.core.model import EMPTY
from dagster_models.reporting.journal import JournalContents
from dagster_models.reporting.results import ResultState, StepResult
from dagster_models.util.graph import weights


@dataclass(frozen=True, slots=True)
class Span:
    """How one step spent its time, for a step that was ready at some moment.

    ``after``: the upstream that ended last; None for a step that reads no other step of this run.
    ``delay_seconds`` passed from its end (or the run's beginning) until this step was ready.
    ``flight_seconds``: all attempts together; 0 for a step that was given up before it started.
    """

    step: str
    state: ResultState
    ready: float
    end: float
    after: str | None = None
    delay_seconds: float = 0.0
    waited: Mapping[str, float] = EMPTY
    flight_seconds: float = 0.0

    @property
    def start(self) -> float:
        """When its flight began; of several attempts, as if they had followed on each other."""
        return self.end - self.flight_seconds


@dataclass(frozen=True, slots=True)
class WaitTotal:
    """How long all steps together waited for one reason: a slot, a retry delay, a pool, a limit."""

    reason: str
    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Waste:
    """The time of a step that came to nothing, in a run that did not succeed.

    ``why``: "failed", "canceled", or "unused": the step is committed, but no step of this run that
    reads it succeeded. (A re-execution from failure will use it.)
    """

    step: str
    why: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the time of a run went. ``status`` is None while a run goes on, or if it was killed.

    ``shortest_seconds``: the heaviest path of flights; no number of slots makes the run shorter.
    ``busy_seconds`` and ``idle_seconds`` are slot-seconds, and add up to ``slots`` times
    ``seconds``. ``unfinished``: planned steps whose end is not in the journal.
    """

    run_id: str
    status: str | None
    seconds: float
    slots: int
    spans: Mapping[str, Span]
    critical_path: tuple[Span, ...]
    shortest_seconds: float
    waits: tuple[WaitTotal, ...]
    busy_seconds: float
    wasted: tuple[Waste, ...]
    unfinished: tuple[str, ...] = ()

    @property
    def path_seconds(self) -> float:
        """The part of the critical path that its steps were in flight."""
        return sum(span.flight_seconds for span in self.critical_path)

    @property
    def idle_seconds(self) -> float:
        return max(0.0, self.slots * self.seconds - self.busy_seconds)

    @property
    def idle_share(self) -> float:
        """The idle part of all slot-seconds, from 0 to 1."""
        slot_seconds = self.slots * self.seconds
        return self.idle_seconds / slot_seconds if slot_seconds > 0 else 0.0

    @property
    def wasted_seconds(self) -> float:
        return sum(waste.seconds for waste in self.wasted)


def explain(contents: JournalContents) -> Explanation | None:
    """The explanation of a run, ended or not; None if the journal has no header."""
    header = contents.header
    if header is None:
        return None
    began = header.started_at
    # A resumed run goes on in the journal of the run before it, whose steps are left out here.
    results = [r for r in contents.steps if r.ended_at is None or r.ended_at >= began]
    upstream = {step: header.upstream.get(step, ()) for step in header.steps}
    spans = _spans(results, upstream, began)
    flights = {span.step: span.flight_seconds for span in spans.values()}
    last = max((span.end for span in spans.values()), default=0.0)
    return Explanation(
        run_id=header.run_id,
        status=contents.end.status if contents.end else None,
        seconds=contents.end.seconds if contents.end else last,
        slots=header.slots,
        spans=spans,
        critical_path=_critical_path(spans),
        shortest_seconds=_heaviest(upstream, flights),
        waits=_waits(spans),
        busy_seconds=sum(flights.values()),
        wasted=_wasted(results, upstream, flights),
        unfinished=tuple(sorted(set(header.steps) - {r.step for r in contents.steps})),
    )


def _spans(
    results: Sequence[StepResult], upstream: Mapping[str, Sequence[str]], began: float
) -> dict[str, Span]:
    """The span of each step that was ready at some moment, in the order they ended."""
    ends = {r.step: r.ended_at - began for r in results if r.ended_at is not None}
    spans = {}
    for r in results:
        if r.ready_at is None or r.ended_at is None:
            continue
        ready, end = max(0.0, r.ready_at - began), ends[r.step]
        known = [step for step in upstream.get(r.step, ()) if step in ends]
        after = max(known, key=ends.__getitem__, default=None)
        delay = ready - (ends[after] if after else 0.0)
        flight = end - ready - sum(r.waited.values()) if r.state != "skipped" else 0.0
        spans[r.step] = Span(
            step=r.step,
            state=r.state,
            ready=ready,
            end=end,
            after=after,
            delay_seconds=max(0.0, delay),  # the clock may have been set back
            waited=r.waited,
            flight_seconds=max(0.0, flight),
        )
    return spans


def _critical_path(spans: Mapping[str, Span]) -> tuple[Span, ...]:
    started = [span for span in spans.values() if span.state != "skipped"]
    span = max(started, key=lambda span: span.end, default=None)
    path: list[Span] = []
    while span is not None:
        path.append(span)
        span = spans.get(span.after) if span.after else None
    return tuple(reversed(path))


def _heaviest(upstream: Mapping[str, Sequence[str]], flights: Mapping[str, float]) -> float:
    """Seconds of the heaviest path; a step that was never in flight weighs nothing."""
    flown = {step: flights.get(step, 0.0) for step in upstream}
    return max(weights(upstream, flown).values(), default=0.0)


def _waits(spans: Mapping[str, Span]) -> tuple[WaitTotal, ...]:
    reasons = dict.fromkeys(reason for span in spans.values() for reason in span.waited)
    found = []
    for reason in reasons:
        of_it = [span.waited[reason] for span in spans.values() if reason in span.waited]
        found.append(WaitTotal(reason, len(of_it), sum(of_it)))
    return tuple(sorted(found, key=lambda wait: -wait.seconds))


def _wasted(
    results: Sequence[StepResult],
    upstream: Mapping[str, Sequence[str]],
    flights: Mapping[str, float],
) -> tuple[Waste, ...]:
    """What a failure cost, the most expensive first; nothing in a run that succeeded."""
    states = {r.step: r.state for r in results}
    good = {r.step for r in results if r.good}
    if len(good) == len(states):
        return ()
    readers: dict[str, list[str]] = {}
    for step, reads in upstream.items():
        for read in reads:
            readers.setdefault(read, []).append(step)
    found = []
    for step, state in states.items():
        if state in ("failed", "canceled"):
            why: str | None = state
        elif state == "succeeded" and readers.get(step):
            why = None if good.intersection(readers[step]) else "unused"
        else:
            why = None
        if why and flights.get(step):
            found.append(Waste(step, why, flights[step]))
    return tuple(sorted(found, key=lambda waste: -waste.seconds))
