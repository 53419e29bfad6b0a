"""An explanation as text: lines for the shell, a sentence and metadata for Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.printable import clean, clean_lines
from dagster_models.reporting.results import RunHeader, StepResult
from dagster_models.reporting.wording import (
    cancel_story,
    changed_rows,
    counted,
    failed_checks,
    failure,
    skip_path,
    skip_reason,
    unchanged_since,
)
from dagster_models.scheduling.states import RETRY_DELAY, SLOT
from dagster_models.util.durations import rounded

PREFIX = "dagster_models"


def summary(run: Explanation) -> str:
    """The run in one sentence."""
    path = " -> ".join(span.step for span in run.critical_path) or "no step was started"
    return (
        f"{run.seconds:,.2f}s, of which {run.path_seconds:,.2f}s in flight on the critical path "
        f"({path}); {_percent(run.idle_share)} of the slots were idle"
    )


def metadata(run: Explanation) -> Mapping[str, Any]:
    """The numbers of a run, for Dagster's event log."""
    return {
        f"{PREFIX}/critical_path": [span.step for span in run.critical_path],
        f"{PREFIX}/critical_path_seconds": rounded(run.path_seconds),
        f"{PREFIX}/shortest_seconds": rounded(run.shortest_seconds),
        f"{PREFIX}/idle_share": round(run.idle_share, 3),
        f"{PREFIX}/idle_slot_seconds": rounded(run.idle_seconds),
        f"{PREFIX}/waited_seconds": {wait.reason: rounded(wait.seconds) for wait in run.waits},
        f"{PREFIX}/wasted_seconds": rounded(run.wasted_seconds),
    }


def run_lines(run: Explanation, header: RunHeader) -> list[str]:
    """The whole run: critical path, waits, idle slots, waste."""
    status = run.status or "not ended: it is still running, or it was killed"
    began = sum(span.state != "skipped" for span in run.spans.values())
    word = "started" if run.status else "ended"  # of what is in flight the journal has nothing
    where = f"{clean(header.project)} (target {clean(header.target)})"
    lines = [
        f"Run {run.run_id} of {where}: {status}",
        f"{run.seconds:,.2f}s, {began:,} of {_steps(len(header.steps))} {word}, "
        f"{counted(run.slots, 'slot')}",
        "",
        *_path_lines(run),
    ]
    if run.waits:
        lines += ["", "All steps together waited for"]
        width = max(len(_reason(wait.reason)) for wait in run.waits)
        lines += [
            f"  {_reason(wait.reason).ljust(width)} {wait.seconds:10,.2f}s  {_steps(wait.steps)}"
            for wait in run.waits
        ]
    slot_seconds = run.slots * run.seconds
    lines += [
        "",
        f"Slots: {run.busy_seconds:,.2f}s busy of {slot_seconds:,.2f}s, "
        f"{run.idle_seconds:,.2f}s idle ({_percent(run.idle_share)})",
    ]
    if run.wasted:
        lines += ["", f"Wasted in this run: {run.wasted_seconds:,.2f}s"]
        width = max(len(clean(waste.step)) for waste in run.wasted)
        lines += [
            f"  {clean(waste.step).ljust(width)} {waste.seconds:10,.2f}s  {_WASTE[waste.why]}"
            for waste in run.wasted
        ]
    if run.unfinished:
        names = ", ".join(map(clean, run.unfinished[:10]))
        more = f" and {len(run.unfinished) - 10} more" if len(run.unfinished) > 10 else ""
        lines += ["", f"The journal has no end for {_steps(len(run.unfinished))}: {names}{more}"]
    return lines


def nothing_done(run: Explanation) -> str:
    """What there is to say of a run without a step."""
    return "No step was started." if run.status else "No step has ended."


def _path_lines(run: Explanation) -> list[str]:
    if not run.critical_path:
        return [nothing_done(run)]
    waits = sum(sum(span.waited.values()) for span in run.critical_path)
    head = f"Critical path: {run.path_seconds:,.2f}s in {_steps(len(run.critical_path))}"
    lines = [f"{head}, and {waits:,.2f}s of waiting" if waits >= 0.005 else head]
    width = max(len(clean(span.step)) for span in run.critical_path)
    for span in run.critical_path:
        begin = f"  {_at(span.start)}  {clean(span.step).ljust(width)}"
        line = f"{begin} {span.flight_seconds:10,.2f}s"
        lines.append(f"{line}  after waiting {_waited(span)}" if span.waited else line)
    least = run.shortest_seconds
    return [*lines, f"With any number of slots, the run takes at least {least:,.2f}s."]


def step_lines(run: Explanation, result: StepResult, header: RunHeader) -> list[str]:
    """The story of one step."""
    built = f" {result.materialized}" if result.materialized else ""
    changed = changed_rows(result)
    rows = f", {changed}" if changed else ""
    name = clean(result.step)
    lines = [f"{name}: {result.kind}{built}, {result.state}{rows}"]
    span = run.spans.get(result.step)
    if span is not None:
        lines += [f"  {line}" for line in _span_lines(span, result)]
    reads = header.upstream.get(result.step, ())
    if reads:
        lines.append(f"  reads {', '.join(map(clean, reads))}")
    if span in run.critical_path:
        lines.append("  is on the critical path")
    return lines + [f"  {line}" for line in _why(result)]


def _span_lines(span: Span, result: StepResult) -> list[str]:
    cause = f", after {clean(span.after)} ended" if span.after else ""
    lines = [f"{_at(span.ready)}  ready{cause}"]
    if span.waited:
        lines.append(f"           waited {_waited(span)}")
    if span.state == "skipped":
        return [*lines, f"{_at(span.end)}  given up"]
    attempts = f" in {result.attempt} attempts" if result.attempt > 1 else ""
    took = f"after {span.flight_seconds:,.2f}s in flight{attempts}"
    return [*lines, f"{_at(span.end)}  {span.state} {took}"]


def _why(result: StepResult) -> list[str]:
    """Why the step did not succeed, was left alone, or was built although much is left alone."""
    if result.state == "failed":
        reasons = "\n".join(filter(None, (result.where, failure(result), failed_checks(result))))
        return clean_lines(reasons)
    if result.state == "canceled":
        return [clean(cancel_story(result))]
    if result.state == "skipped":
        path = skip_path(result)
        return [clean(skip_reason(result)), *([clean(path)] if path else [])]
    if result.state == "unchanged":
        return [clean(unchanged_since(result))]
    return [f"was built, as {clean(result.because)}"] if result.because else []


def _steps(count: int) -> str:
    return counted(count, "step")


def _at(moment: float) -> str:
    return f"+{moment:,.2f}s".rjust(9)


def _waited(span: Span) -> str:
    return ", ".join(f"{seconds:,.2f}s for {_reason(why)}" for why, seconds in span.waited.items())


def _reason(reason: str) -> str:
    return {SLOT: "a slot", RETRY_DELAY: "its retry delay"}.get(reason, clean(reason))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


_WASTE = {
    "failed": "failed",
    "canceled": "canceled",
    "unused": "committed, but nothing that reads it succeeded",
}
