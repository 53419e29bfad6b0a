"""How long a run will take: the run's own plan, with past durations in place of workers."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dagster_models.scheduling.plan import Plan
from dagster_models.scheduling.requirements import StepRequirements
from dagster_models.scheduling.states import Cause, Event, Instruction, Start
from dagster_models.util.graph import weights


@dataclass(frozen=True, slots=True)
class Planned:
    """When a step starts and ends, in seconds since the run's begin.

    ``after``: the upstream that ends last; ``waits_seconds``: how long it then waits for a slot.
    """

    step: str
    start: float
    end: float
    after: str | None = None
    waits_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """``path``: the step that ends last, before it the upstream after which it started, and so on,
    the first one first."""

    seconds: float
    path: tuple[Planned, ...]


def forecast(
    graph: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
    slots: int,
    running: Mapping[str, float] | None = None,
    limits: Mapping[str, tuple[Sequence[str], int]] | None = None,
) -> Forecast | None:
    """What becomes of a run in which each step takes as long as it did; None if that is not known
    of any step. A step of which it is not known takes the mean of the others.

    Args:
        graph: step -> its upstreams, in topological order; others than its keys are over.
        seconds: step -> its duration.
        running: the steps that hold a slot already -> how long they have done so.
        limits: label -> the steps that share it, and how many of them may be in flight.
    """
    known = [seconds[step] for step in graph if step in seconds]
    if not known:
        return None
    began = running or {}
    mean = sum(known) / len(known)
    left = {step: max(0.0, seconds.get(step, mean) - began.get(step, 0.0)) for step in graph}
    inner = {step: [it for it in upstream if it in left] for step, upstream in graph.items()}
    planned = _planned(inner, left, slots, began, limits or {})
    last = max(planned.values(), key=lambda it: it.end)
    path = [last]
    while path[-1].after is not None:
        path.append(planned[path[-1].after])
    return Forecast(last.end, tuple(reversed(path)))


def _planned(
    graph: Mapping[str, Sequence[str]],
    seconds: Mapping[str, float],
    slots: int,
    running: Mapping[str, float],
    limits: Mapping[str, tuple[Sequence[str], int]],
) -> dict[str, Planned]:
    weight = weights(graph, seconds)
    labels: dict[str, tuple[str, ...]] = {}
    for label, (steps, _) in limits.items():
        for step in steps:
            labels[step] = (*labels.get(step, ()), label)
    requirements = {
        step: StepRequirements(weight[step], int(step in running), labels=labels.get(step, ()))
        for step in graph
    }
    plan = Plan(
        graph,
        requirements,
        max_concurrent=slots,
        limits={label: limit for label, (_, limit) in limits.items()},
    )
    found: dict[str, Planned] = {}
    ends: list[tuple[float, str]] = []

    def start(instructions: Sequence[Instruction], now: float) -> None:
        for it in instructions:
            if isinstance(it, Start):
                found[it.step] = _started(it.step, graph, found, now, seconds[it.step])
                heapq.heappush(ends, (now + seconds[it.step], it.step))

    start(plan.begin(), 0.0)
    while ends:
        now, step = heapq.heappop(ends)
        start(plan.handle(Event(step, Cause.COMMITTED)), now)
    return found


def _started(
    step: str,
    graph: Mapping[str, Sequence[str]],
    planned: Mapping[str, Planned],
    now: float,
    seconds: float,
) -> Planned:
    after = max(graph[step], key=lambda it: planned[it].end, default=None)
    ready = planned[after].end if after is not None else 0.0
    return Planned(step, now, now + seconds, after, now - ready)
