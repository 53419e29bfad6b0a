"""A run on one page: what became of it, its time, its failures and checks, and what reads what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence

from dagster_models.pages.document import (
    KIND_OF_CHECK,
    block,
    code,
    escaped,
    escaped_lines,
    page,
    seconds,
    table,
)
from dagster_models.pages.graph import graph_picture
from dagster_models.pages.slots import slots_picture
from dagster_models.reporting.explain import Explanation
from dagster_models.reporting.results import RunHeader, StepResult, totals
from dagster_models.reporting.wording import (
    READS_THE_FORMER,
    cancel_story,
    changed_rows,
    check_failure,
    counted,
    failure,
    is_rolled_back,
    skip_path,
    skip_reason,
)
from dagster_models.util.graph import order

SourceOf = Callable[[StepResult], str]
"""The text of a step's file as it was in the run, "" if nobody knows it any more."""

#: Steps up to which the picture of what reads what is drawn: a larger one shows nobody anything.
MOST_NODES = 1500

_FILTER = """
const box = document.querySelector("input[type=search]");
const rows = [...document.querySelectorAll("#steps tbody tr")];
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});
"""


def run_report(
    run: Explanation, header: RunHeader, results: Sequence[StepResult], source_of: SourceOf
) -> str:
    """The page as the text of an HTML file that fetches nothing."""
    reads = {step: header.upstream.get(step, ()) for step in header.steps}
    upstream = {step: reads[step] for step in order(reads)}
    kinds = {it.step: _kind(it) for it in results}
    body = [*_head(run, header, results), *_failures(results, source_of), *_checks(results)]
    body += ["<h2>Slots over time</h2>", _LEGEND]
    body += [f'<div class="scroll">{slots_picture(run, kinds)}</div>']
    body += [*_critical_path(run), *_waits(run), *_steps(run, results)]
    body += ["<h2>What reads what</h2>"]
    if len(upstream) <= MOST_NODES:
        body.append(f'<div class="scroll">{graph_picture(upstream, kinds)}</div>')
    else:
        body.append(f'<p class="soft">{len(upstream):,} steps are too many to draw.</p>')
    return page(f"Run {header.run_id[:8]} of {header.project}", body, _FILTER)


_LEGEND = (
    '<p class="soft">A step on the critical path has a border: a shorter one of these makes the'
    " run shorter. The pointer shows what a step waited for.</p>"
)


def _kind(result: StepResult) -> str:
    """The class of a step's color."""
    if result.failed_later:
        return "failed"
    return "warned" if result.warned else result.state


def _head(run: Explanation, header: RunHeader, results: Sequence[StepResult]) -> Iterator[str]:
    status = run.status or "not ended: it is still running, or it was killed"
    began = dt.datetime.fromtimestamp(header.started_at, dt.timezone.utc)
    yield f"<h1>{escaped(header.project)}: {escaped(status)}</h1>"
    yield (
        f'<p class="soft">Run {escaped(header.run_id)} on the target {escaped(header.target)},'
        f" begun {began:%Y-%m-%d %H:%M:%S} UTC, by dagster-models {escaped(header.version)}</p>"
    )
    cards = {"Time": seconds(run.seconds), "Critical path": seconds(run.path_seconds)}
    cards["Slots"] = f"{run.slots}, {run.idle_share:.0%} idle"
    cards |= {word: f"{count:,}" for word, count in totals(results).items() if count}
    if run.unfinished:
        cards["Without an end"] = f"{len(run.unfinished):,}"
    shown = (f'<div class="card"><b>{it}</b>{escaped(word)}</div>' for word, it in cards.items())
    yield f'<div class="cards">{"".join(shown)}</div>'


def _failures(results: Sequence[StepResult], source_of: SourceOf) -> Iterator[str]:
    bad = [it for it in results if it.state in ("failed", "canceled")]
    if not bad:
        return
    below: dict[str, list[str]] = {}
    for it in results:
        if it.state == "skipped" and it.cause:
            below.setdefault(it.cause, []).append(it.step)
    yield "<h2>What went wrong</h2>"
    for it in bad:
        yield f"<h3>{_state(it)} {_link(it.step)} <code>{escaped(it.where)}</code></h3>"
        text = failure(it) if it.state == "failed" else cancel_story(it)
        if text:
            yield block(escaped_lines(text))
        if names := below.get(it.step):
            yield f"<p>Skipped below it: {', '.join(map(_link, names))}</p>"
        if it.state == "failed" and (source := source_of(it)):
            line = it.error.line if it.error else None
            yield f"<details open><summary>{escaped(it.file)}</summary>"
            yield f"{code(source, line)}</details>"


def _checks(results: Sequence[StepResult]) -> Iterator[str]:
    found = [(it, check) for it in results for check in it.checks if not check.passed]
    if not found:
        return
    yield "<h2>Checks that did not pass</h2>"
    for it, check in found:
        kind = KIND_OF_CHECK[check.status]
        yield (
            f'<h3><span class="state {kind}">{escaped(check.status)}</span>'
            f" {escaped(check.name)} of {_link(it.step)} <code>{escaped(check.where)}</code></h3>"
        )
        yield block(escaped_lines(check_failure(check)))
        if check.sample:
            rows = ([_cell(value) for value in row] for row in check.sample)
            yield f'<div class="scroll">{table(check.sample_columns, rows)}</div>'
        if check.query:
            note = f" ({READS_THE_FORMER})" if is_rolled_back(it) else ""
            yield f"<details><summary>Its query{note}</summary>{code(check.query)}</details>"


def _cell(value: str | None) -> str:
    return '<span class="soft">NULL</span>' if value is None else escaped(value)


def _critical_path(run: Explanation) -> Iterator[str]:
    if not run.critical_path:
        return
    yield "<h2>Critical path</h2>"
    yield (
        f"<p>{seconds(run.path_seconds)} in {counted(len(run.critical_path), 'step')}."
        f" With any number of slots, the run takes at least {seconds(run.shortest_seconds)}.</p>"
    )
    rows = [
        [
            _link(span.step),
            seconds(span.start),
            seconds(span.flight_seconds),
            escaped(_waited(span.waited)),
        ]
        for span in run.critical_path
    ]
    head = ("step", "began at", "took", "waited for")
    yield f'<div class="scroll">{table(head, rows, (1, 2))}</div>'


def _waited(waited: Mapping[str, float]) -> str:
    return ", ".join(f"{why}: {seconds(it)}" for why, it in waited.items())


def _waits(run: Explanation) -> Iterator[str]:
    rows = [[escaped(it.reason), f"{it.steps:,}", seconds(it.seconds)] for it in run.waits]
    if rows:
        yield "<h2>Waits of all steps</h2>"
        yield f'<div class="scroll">{table(("for", "steps", "together"), rows, (1, 2))}</div>'


def _steps(run: Explanation, results: Sequence[StepResult]) -> Iterator[str]:
    yield "<h2>Steps</h2>"
    yield '<input type="search" placeholder="Filter by name, state, file" aria-label="Filter">'
    rows = []
    for it in results:
        span = run.spans.get(it.step)
        passed = sum(check.passed for check in it.checks)
        rows.append(
            [
                f'<span id="step-{escaped(it.step)}"></span>{escaped(it.step)}',
                _state(it),
                escaped(it.materialized or it.kind),
                seconds(span.start) if span else "",
                seconds(span.flight_seconds) if span else "",
                escaped(_waited(it.waited)),
                escaped(changed_rows(it)),
                f"{passed} of {len(it.checks)}" if it.checks else "",
                _story(it),
            ]
        )
    head = ("step", "state", "kind", "began at", "took", "waited for", "rows", "checks", "why")
    yield f'<div class="scroll">{table(head, rows, (3, 4), "steps")}</div>'


def _story(result: StepResult) -> str:
    if result.state == "skipped":
        return escaped(f"{skip_reason(result)} {skip_path(result)}")
    if result.because:
        return escaped(f"built, as {result.because}")
    return f"<code>{escaped(result.where)}</code>"


def _state(result: StepResult) -> str:
    kind = _kind(result)
    word = {"warned": "warning"}.get(kind, result.state)
    if result.failed_later:
        word = "check failed"
    return f'<span class="state {kind}">{word}</span>'


def _link(step: str) -> str:
    return f'<a href="#step-{escaped(step)}">{escaped(step)}</a>'
