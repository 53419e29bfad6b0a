"""How an explanation is told: lines for the shell, metadata for Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.results import (
    RunHeader,
    StepResult,
    cancel_story,
    explanation,
    skip_path,
    skip_reason,
)
from dagster_models.reporting.terminal import clean, clean_lines
from dagster_models.scheduling.states import RETRY_DELAY, SLOT

PREFIX = "dagster_models"


def summary(told: Explanation) -> str:
    """The run in one sentence."""
    path = " -> ".join(span.step for span in told.critical_path) or "no step was started"
    return (
        f"{told.seconds:,.2f}s, of which {told.path_seconds:,.2f}s in flight on the critical path "
        f"({path}); {_percent(told.idle_share)} of the slots were idle"
    )


def metadata(told: Explanation) -> Mapping[str, Any]:
    """The numbers of a run, for Dagster's event log."""
    return {
        f"{PREFIX}/critical_path": [span.step for span in told.critical_path],
        f"{PREFIX}/critical_path_seconds": told.path_seconds,
        f"{PREFIX}/shortest_seconds": told.shortest_seconds,
        f"{PREFIX}/idle_share": told.idle_share,
        f"{PREFIX}/idle_slot_seconds": told.idle_seconds,
        f"{PREFIX}/waited_seconds": {wait.reason: wait.seconds for wait in told.waits},
        f"{PREFIX}/wasted_seconds": told.wasted_seconds,
    }


def run_lines(told: Explanation, header: RunHeader) -> list[str]:
    """The whole run: critical path, waits, idle slots, waste."""
    status = told.status or "not ended: it still goes on, or it was killed"
    started = sum(span.state != "skipped" for span in told.spans.values())
    where = f"{clean(header.project)} (target {clean(header.target)})"
    lines = [
        f"Run {told.run_id} of {where}: {status}",
        f"{told.seconds:,.2f}s, {started:,} of {_steps(len(header.steps))} started, "
        f"{_count(told.slots, 'slot')}",
        "",
        *_path_lines(told),
    ]
    if told.waits:
        lines += ["", "Waiting for, all steps together"]
        width = max(len(_reason(wait.reason)) for wait in told.waits)
        lines += [
            f"  {_reason(wait.reason).ljust(width)} {wait.seconds:10,.2f}s  {_steps(wait.steps)}"
            for wait in told.waits
        ]
    room = told.slots * told.seconds
    lines += [
        "",
        f"Slots: {told.busy_seconds:,.2f}s busy of {room:,.2f}s, "
        f"{told.idle_seconds:,.2f}s idle ({_percent(told.idle_share)})",
    ]
    if told.wasted:
        lines += ["", f"Came to nothing in this run: {told.wasted_seconds:,.2f}s"]
        width = max(len(clean(waste.step)) for waste in told.wasted)
        lines += [
            f"  {clean(waste.step).ljust(width)} {waste.seconds:10,.2f}s  {_WASTE[waste.why]}"
            for waste in told.wasted
        ]
    if told.unfinished:
        names = ", ".join(map(clean, told.unfinished[:10]))
        more = f" and {len(told.unfinished) - 10} more" if len(told.unfinished) > 10 else ""
        lines += ["", f"The journal has no end of {_steps(len(told.unfinished))}: {names}{more}"]
    return lines


def _path_lines(told: Explanation) -> list[str]:
    if not told.critical_path:
        return ["No step was started."]
    waits = sum(sum(span.waited.values()) for span in told.critical_path)
    head = f"Critical path: {told.path_seconds:,.2f}s in {_steps(len(told.critical_path))}"
    lines = [f"{head}, and {waits:,.2f}s of waiting" if waits >= 0.005 else head]
    width = max(len(clean(span.step)) for span in told.critical_path)
    for span in told.critical_path:
        begin = f"  {_at(span.end - span.flight_seconds)}  {clean(span.step).ljust(width)}"
        line = f"{begin} {span.flight_seconds:10,.2f}s"
        lines.append(f"{line}  after waiting {_waited(span)}" if span.waited else line)
    least = told.shortest_seconds
    return [*lines, f"With any number of slots it takes at least {least:,.2f}s."]


def step_lines(told: Explanation, result: StepResult, header: RunHeader) -> list[str]:
    """The story of one step."""
    built = f" {result.materialized}" if result.materialized else ""
    rows = f", {result.rows:,} rows" if result.rows is not None else ""
    name = clean(result.step)
    lines = [f"{name}: {result.kind}{built}, {result.state}{rows}"]
    span = told.spans.get(result.step)
    if span is not None:
        lines += [f"  {line}" for line in _span_lines(span, result)]
    reads = header.upstream.get(result.step, ())
    if reads:
        lines.append(f"  reads {', '.join(map(clean, reads))}")
    if span in told.critical_path:
        lines.append("  is on the critical path")
    return lines + [f"  {line}" for line in _why(result)]


def _span_lines(span: Span, result: StepResult) -> list[str]:
    cause = f": {clean(span.after)} had ended" if span.after else ""
    lines = [f"{_at(span.ready)}  ready{cause}"]
    if span.waited:
        lines.append(f"           waited {_waited(span)}")
    if span.state == "skipped":
        return [*lines, f"{_at(span.end)}  given up"]
    attempts = f" in {result.attempt} attempts" if result.attempt > 1 else ""
    took = f"after {span.flight_seconds:,.2f}s in flight{attempts}"
    return [*lines, f"{_at(span.end)}  {span.state} {took}"]


def _why(result: StepResult) -> list[str]:
    """What explains a state that is not success."""
    if result.state == "failed":
        return [*([clean(result.where)] if result.where else []), *clean_lines(explanation(result))]
    if result.state == "canceled":
        return [clean(cancel_story(result))]
    if result.state == "skipped":
        path = skip_path(result)
        return [clean(skip_reason(result)), *([clean(path)] if path else [])]
    return []


def _at(moment: float) -> str:
    return f"+{moment:,.2f}s".rjust(9)


def _waited(span: Span) -> str:
    return ", ".join(f"{seconds:,.2f}s for {_reason(why)}" for why, seconds in span.waited.items())


def _reason(reason: str) -> str:
    return {SLOT: "a slot", RETRY_DELAY: "its retry delay"}.get(reason, clean(reason))


def _steps(count: int) -> str:
    return _count(count, "step")


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


_WASTE = {
    "failed": "failed",
    "canceled": "canceled",
    "unused": "committed, but nothing that reads it succeeded",
}
