"""The critical path of a run as a picture: SVG, which Dagster's page of the run shows.

One row per step, from top to bottom in the order of time: what it waited for is light, what it took
has the color of its state. The picture is a file of its own, so it uses no script, no font file
and nothing else from outside; its background is white, as the page around it may be dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.printable import clean
from dagster_models.reporting.results import ResultState
from dagster_models.reporting.wording import counted
from dagster_models.util.numbers import round_step

#: A longer path loses its shortest steps, as the event log keeps the picture of each run.
MOST_ROWS = 25

_WIDTH, _ROW, _TOP, _BOTTOM, _RIGHT = 960, 24, 48, 32, 90
_MOST_CHARACTERS, _OF_CHARACTER = 40, 7
_COLORS: dict[ResultState, str] = {
    "succeeded": "#2e9e6b",
    "failed": "#d64545",
    "canceled": "#e09f3e",
    "skipped": "#9aa5b1",
    "unchanged": "#9aa5b1",
}
_WAITED, _TEXT, _LINE = "#d5dbe3", "#222b38", "#e6eaf0"


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a moment of the run is in the picture: ``left`` is its beginning."""

    left: float
    per_second: float

    def x(self, moment: float) -> float:
        return self.left + moment * self.per_second


def path_picture(run: Explanation) -> str:
    """The picture, as the text of an SVG file; "" for a run of which no step was started."""
    spans = _shown(run.critical_path)
    if not spans:
        return ""
    height = _TOP + _ROW * len(spans) + _BOTTOM
    seconds = max(run.seconds, *(span.end for span in spans), 1e-3)
    left = 24 + _OF_CHARACTER * max(len(_name(span.step)) for span in spans)
    scale = _Scale(left, (_WIDTH - left - _RIGHT) / seconds)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(12, 24, _title(run, len(run.critical_path) - len(spans)), size=14),
        *_axis(seconds, scale, height),
    ]
    for number, span in enumerate(spans):
        parts += _row(span, _TOP + _ROW * number, scale)
    return "".join([*parts, "</svg>"])


def _shown(path: Sequence[Span]) -> list[Span]:
    longest = sorted(path, key=_length, reverse=True)[:MOST_ROWS]
    kept = {span.step for span in longest}
    return [span for span in path if span.step in kept]


def _length(span: Span) -> float:
    return span.flight_seconds + sum(span.waited.values())


def _title(run: Explanation, left_out: int) -> str:
    more = f" ({left_out:,} short ones are left out)" if left_out else ""
    steps = counted(len(run.critical_path), "step")
    return f"Critical path: {run.path_seconds:,.2f}s in {steps}{more}, of {run.seconds:,.2f}s"


def _axis(seconds: float, scale: _Scale, height: int) -> Iterator[str]:
    tick = round_step(seconds / 6)
    for number in range(int(seconds / tick) + 1):
        x = scale.x(number * tick)
        yield (
            f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - _BOTTOM + 6}"'
            f' stroke="{_LINE}"/>'
        )
        yield _text(x, height - 10, f"{number * tick:,.6g}s", anchor="middle")


def _row(span: Span, y: int, scale: _Scale) -> Iterator[str]:
    yield _text(scale.left - 10, y + 16, _name(span.step), anchor="end")
    if span.start > span.ready:
        yield _bar(span.ready, span.start, y, scale, _WAITED)
    yield _bar(span.start, span.end, y, scale, _COLORS[span.state])
    yield _text(scale.x(span.end) + 6, y + 16, f"{span.flight_seconds:,.2f}s")


def _bar(begin: float, end: float, y: int, scale: _Scale, color: str) -> str:
    x = scale.x(begin)
    width = max(1.5, scale.x(end) - x)
    return (
        f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}" rx="2"'
        f' fill="{color}"/>'
    )


def _name(step: str) -> str:
    name = clean(step)
    return name if len(name) <= _MOST_CHARACTERS else f"...{name[-_MOST_CHARACTERS + 3 :]}"


def _text(x: float, y: int, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" fill="{_TEXT}" font-size="{size}"'
        f' text-anchor="{anchor}">{escape(text, quote=False)}</text>'
    )
