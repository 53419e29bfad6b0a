"""A run over time as a picture: one row per slot, with the steps that were in flight in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from dagster_models.pages.document import escaped, seconds
from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.explain_text import nothing_done
from dagster_models.util.numbers import round_step

_WIDTH, _ROW, _TOP, _LEFT = 1300, 26, 24, 48
_CHARACTER = 6.6  #: how wide one is, about


def rows_of(spans: Sequence[Span], slots: int) -> list[list[Span]]:
    """The spans, each in the first row that is free when it takes off, in at most *slots* rows (0:
    any number). Those that were never in flight are in none. A step that was tried again is one
    span from its first start.

    A slot is free before the end of its step is reported, so the next one may begin a little
    earlier than the picture's end of the one before it.
    """
    rows: list[list[Span]] = []
    for span in sorted(spans, key=attrgetter("start")):
        if span.flight_seconds <= 0:
            continue
        free = (row for row in rows if row[-1].end <= span.start + 1e-6)
        row = next(free, None)
        if row is None and slots and len(rows) >= slots:
            row = min(rows, key=lambda row: row[-1].end)
        if row is None:
            rows.append([span])
        else:
            row.append(span)
    return rows


def slots_picture(run: Explanation, kinds: Mapping[str, str]) -> str:
    """The picture as SVG; each step leads to its row in the table of steps. *kinds*: the class of
    each one's color."""
    rows = rows_of(list(run.spans.values()), run.slots)
    if not rows:
        return f'<p class="soft">{nothing_done(run)}</p>'
    critical = {span.step for span in run.critical_path}
    last = max([run.seconds, *(row[-1].end for row in rows), 1e-3])
    per_second = (_WIDTH - _LEFT) / last
    height = _TOP + _ROW * len(rows) + 4
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">']
    parts += _axis(last, per_second, height)
    for number, row in enumerate(rows):
        y = _TOP + _ROW * number
        parts.append(f'<text class="soft" x="0" y="{y + 17}">slot {number + 1}</text>')
        for span in row:
            parts += _bar(span, y, per_second, kinds[span.step], span.step in critical)
    return "".join([*parts, "</svg>"])


def _axis(last: float, per_second: float, height: int) -> Iterator[str]:
    step = round_step(last / 10)
    for count in range(int(last / step) + 1):
        x = _LEFT + count * step * per_second
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="18" y2="{height}"/>'
        label = f"{count * step:,.4g} s"
        yield f'<text class="soft" x="{x:.1f}" y="12" text-anchor="middle">{label}</text>'


def _bar(span: Span, y: int, per_second: float, kind: str, critical: bool) -> Iterator[str]:
    x = _LEFT + span.start * per_second
    width = max(1.5, span.flight_seconds * per_second)
    waited = "".join(f", waited {seconds(it)} for {why}" for why, it in span.waited.items())
    tip = escaped(f"{span.step}: {span.state}, {seconds(span.flight_seconds)}{waited}")
    outline = f"{kind} critical" if critical else kind
    yield f'<a href="#step-{escaped(span.step)}"><title>{tip}</title>'
    yield (
        f'<rect class="{outline}" x="{x:.1f}" y="{y + 3}" width="{width:.1f}"'
        f' height="{_ROW - 6}" rx="3"/>'
    )
    name = span.step.rpartition(".")[2]
    if width > len(name) * _CHARACTER + 8:
        yield f'<text class="inside" x="{x + 5:.1f}" y="{y + 17}">{escaped(name)}</text>'
    yield "</a>"
