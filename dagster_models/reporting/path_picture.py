"""The critical path of a run as a picture: SVG, which Dagster's page of the run shows.

One row per step, from top to bottom in the order of time: what it waited for is light, what it took
has the color of its state. The picture is a file of its own, so it uses no script, no font file
and nothing else from outside; its background is white, as the page around it may be dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from dagster_models.reporting.explain import Explanation, Span
from dagster_models.reporting.printable import clean
from dagster_models.reporting.results import ResultState

#: A longer path loses its shortest steps, as the event log keeps the picture of each run.
MOST_ROWS = 25

_WIDTH, _ROW, _TOP, _BOTTOM = 960, 24, 48, 32
_LEFT, _RIGHT = 300, 90  #: what names and seconds take
_MOST_CHARACTERS = 40
_COLORS: dict[ResultState, str] = {
    "succeeded": "#2e9e6b",
    "failed": "#d64545",
    "canceled": "#e09f3e",
    "skipped": "#9aa5b1",
    "unchanged": "#9aa5b1",
}
_WAITED, _TEXT, _LINE = "#d5dbe3", "#222b38", "#e6eaf0"


def path_picture(run: Explanation) -> str:
    """The picture, as the text of an SVG file; "" for a run of which no step was started."""
    spans = _shown(run.critical_path)
    if not spans:
        return ""
    height = _TOP + _ROW * len(spans) + _BOTTOM
    last = max((span.end for span in spans), default=0.0)
    per_second = (_WIDTH - _LEFT - _RIGHT) / max(run.seconds, last, 1e-3)
    left_out = len(run.critical_path) - len(spans)
    more = f" ({left_out:,} short ones are left out)" if left_out else ""
    title = (
        f"Critical path: {run.path_seconds:,.2f}s in {len(run.critical_path):,} steps{more}, of"
        f" {run.seconds:,.2f}s"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(12, 24, title, size=14),
        *_axis(run.seconds, per_second, height),
    ]
    for number, span in enumerate(spans):
        parts += _row(span, _TOP + _ROW * number, per_second)
    return "".join([*parts, "</svg>"])


def _shown(path: Sequence[Span]) -> list[Span]:
    longest = sorted(path, key=_length, reverse=True)[:MOST_ROWS]
    kept = {span.step for span in longest}
    return [span for span in path if span.step in kept]


def _length(span: Span) -> float:
    return span.flight_seconds + sum(span.waited.values())


def _axis(seconds: float, per_second: float, height: int) -> Iterator[str]:
    for part in range(5):
        moment = seconds * part / 4
        x = _LEFT + moment * per_second
        yield (
            f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - _BOTTOM + 6}"'
            f' stroke="{_LINE}"/>'
        )
        yield _text(x, height - 10, f"{moment:,.4g}s", anchor="middle")


def _row(span: Span, y: int, per_second: float) -> Iterator[str]:
    begin = span.end - span.flight_seconds
    middle = y + 12
    yield _text(_LEFT - 10, middle + 4, _name(span.step), anchor="end")
    if begin > span.ready:
        yield _bar(span.ready, begin, y, per_second, _WAITED)
    yield _bar(begin, span.end, y, per_second, _COLORS[span.state])
    x = _LEFT + span.end * per_second
    yield _text(x + 6, middle + 4, f"{span.flight_seconds:,.2f}s")


def _bar(begin: float, end: float, y: int, per_second: float, color: str) -> str:
    x, width = _LEFT + begin * per_second, max(1.5, (end - begin) * per_second)
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
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )
