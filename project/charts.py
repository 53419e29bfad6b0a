"""Charts as SVG text: bars, columns, lines, a heat map, a year of days.

A module of the project's own, used by scripts/report.py. Colours are CSS variables of the page, so
that a chart follows it from light to dark. Every mark has a <title>: the browser's tooltip.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from math import ceil, floor, log10
from typing import NamedTuple


class Bar(NamedTuple):
    label: str
    value: float
    text: str  #: the value as people read it
    tip: str = ""
    marker: float | None = None  #: a second value to compare with
    accent: bool = False


def svg(width: int, height: int, label: str, parts: Iterable[str]) -> str:
    body = "\n".join(parts)
    name = escape(label, quote=True)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{name}">\n{body}\n</svg>'


def scale(domain: tuple[float, float], pixels: tuple[float, float]) -> Callable[[float], float]:
    (low, high), (start, end) = domain, pixels
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 5, 10 ...) from at most ``low`` to at least ``high``."""
    rough = (high - low) / count
    power = 10 ** floor(log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    return [step * i for i in range(floor(low / step), ceil(high / step - 1e-9) + 1)]


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(said)}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def rect(x: float, y: float, w: float, h: float, kind: str, tip: str = "", more: str = "") -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" height="{max(h, 0):.1f}" rx="2"'
        f' class="{kind}" {more}><title>{escape(tip)}</title></rect>'
    )


def path(points: Sequence[tuple[float, float]], kind: str) -> str:
    places = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<path d="M{places}" class="{kind}"/>'


def bars(label: str, rows: Sequence[Bar], axis: str, form: Callable[[float], str]) -> str:
    """Horizontal bars, one per row, the value at their end, a tick where the marker is."""
    width, left, top = 560, 150, 30
    step = 25 if len(rows) > 8 else 36
    bottom = top + step * len(rows)
    marks = ticks(0, max(max(r.value, r.marker or 0) for r in rows))
    x = scale((0, marks[-1]), (left, width - 50))
    parts = [text(left, 12, axis, "axis")]
    for mark in marks:
        parts.append(line(x(mark), top - 6, x(mark), bottom, "grid"))
        parts.append(text(x(mark), bottom + 15, form(mark), "tick", "middle"))
    for i, row in enumerate(rows):
        y = top + step * i
        kind = "bar accent" if row.accent else "bar"
        parts.append(text(left - 8, y + step / 2 + 1, row.label, "name", "end"))
        parts.append(rect(left, y + 2, x(row.value) - left, step - 9, kind, row.tip))
        if row.marker is not None:
            parts.append(line(x(row.marker), y - 1, x(row.marker), y + step - 4, "marker"))
        end = x(max(row.value, row.marker or 0))
        parts.append(text(end + 6, y + step / 2 + 1, row.text, "value"))
    return svg(width, bottom + 22, label, parts)


def columns(label: str, rows: Sequence[Bar], axis: str, form: Callable[[float], str]) -> str:
    """Vertical columns, one per row, the value on top."""
    width, height, left, top = 560, 270, 44, 34
    bottom = height - 26
    marks = ticks(0, max(r.value for r in rows), 4)
    y = scale((0, marks[-1]), (bottom, top))
    step = (width - left) / len(rows)
    parts = [text(0, 12, axis, "axis")]
    for mark in marks:
        parts.append(line(left, y(mark), width, y(mark), "grid"))
        parts.append(text(left - 6, y(mark) + 4, form(mark), "tick", "end"))
    for i, row in enumerate(rows):
        x = left + step * i
        kind = "bar accent" if row.accent else "bar"
        gap = max(3.0, step * 0.14)
        parts.append(
            rect(x + gap, y(row.value), step - 2 * gap, bottom - y(row.value), kind, row.tip)
        )
        parts.append(text(x + step / 2, y(row.value) - 5, row.text, "value", "middle"))
        parts.append(text(x + step / 2, bottom + 17, row.label, "tick", "middle"))
    return svg(width, height, label, parts)


def lines(
    label: str,
    series: Sequence[tuple[str, Sequence[tuple[float, float]]]],
    axis: str,
    x_ticks: Sequence[tuple[float, str]],
    x_axis: str,
) -> str:
    """One line per series, named at its end; names that would touch are moved apart."""
    width, height, left, right, top = 560, 390, 34, 50, 34
    bottom = height - 40
    every = [point for _, points in series for point in points]
    lowest = min(0, min(y for _, y in every))
    marks = [m for m in ticks(lowest, max(y for _, y in every)) if m >= lowest]
    x = scale((min(p[0] for p in every), max(p[0] for p in every)), (left + 8, width - right))
    y = scale((lowest, marks[-1]), (bottom, top))
    parts = [
        text(0, 12, axis, "axis"),
        text((left + width - right) / 2, height - 4, x_axis, "axis", "middle"),
    ]
    for mark in marks:
        kind = "zero" if mark == 0 else "grid"
        parts.append(line(left, y(mark), width - right, y(mark), kind))
        parts.append(text(left - 6, y(mark) + 4, f"{mark:g}", "tick", "end"))
    parts += [text(x(at), bottom + 17, said, "tick", "middle") for at, said in x_ticks]
    ends = spread([y(points[-1][1]) for _, points in series], 15)
    for n, ((name, points), end) in enumerate(zip(series, ends, strict=True), start=1):
        parts.append(path([(x(a), y(b)) for a, b in points], f"line s{n}"))
        for a, b in points:
            dot = f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" class="dot f{n}">'
            parts.append(f"{dot}<title>{escape(f'{name}, {a:g}: {b:.1f}')}</title></circle>")
        parts.append(text(x(points[-1][0]) + 9, end + 4, name, f"name f{n}"))
    return svg(width, height, label, parts)


def spread(places: Sequence[float], least: float) -> list[float]:
    """The places, pushed apart to be ``least`` pixels from each other, in the same order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + least)
    return moved


def heatmap(
    label: str,
    cells: dict[tuple[int, int], float],
    names: Sequence[str],
    hours: Sequence[int],
    axis: str,
) -> str:
    """Rows are weekdays (1 to 7), columns hours; the darker, the larger the share."""
    width, left, top, cell = 560, 40, 52, 28
    step = (width - left) / len(hours)
    low, high = min(cells.values()), max(cells.values())
    strength = scale((low, high), (0.06, 1.0))
    parts = [text(0, 12, axis, "axis")]
    for i in range(40):  # the legend: a ramp of the same colour
        parts.append(
            rect(left + i * 3, 22, 3.2, 9, "heat", "", f'fill-opacity="{0.06 + i * 0.94 / 39:.2f}"')
        )
    parts.append(text(left - 6, 31, f"{low:.0%}", "tick", "end"))
    parts.append(text(left + 126, 31, f"{high:.0%}", "tick"))
    for row, name in enumerate(names):
        parts.append(text(left - 8, top + row * cell + 18, name, "name", "end"))
        for column, hour in enumerate(hours):
            share = cells.get((row + 1, hour))
            if share is None:
                continue
            tip = f"{name} {hour:02d}:00 to {hour:02d}:59: {share:.0%} late"
            opacity = f'fill-opacity="{strength(share):.2f}"'
            parts.append(
                rect(
                    left + column * step + 1,
                    top + row * cell + 1,
                    step - 2,
                    cell - 2,
                    "heat",
                    tip,
                    opacity,
                )
            )
    bottom = top + cell * len(names)
    for column, hour in enumerate(hours):
        if hour % 3 == 0:
            parts.append(
                text(left + (column + 0.5) * step, bottom + 16, f"{hour:02d}:00", "tick", "middle")
            )
    parts.append(
        text((left + width) / 2, bottom + 36, "scheduled hour of departure", "axis", "middle")
    )
    return svg(width, bottom + 42, label, parts)


class Day(NamedTuple):
    label: str  #: e.g. 8 Mar 2013
    actual: float | None
    expected: float | None
    outlook: float | None


def year(
    label: str,
    days: Sequence[Day],
    axis: str,
    months: Sequence[tuple[int, str]],
    notes: Sequence[tuple[int, str]],
) -> str:
    """Days as thin columns with the expected value as a line; ``notes`` name single days."""
    width, height, left, top = 1160, 330, 40, 44
    bottom = height - 26
    shown = [v for d in days for v in (d.actual, d.expected, d.outlook) if v is not None]
    lowest = min(0, min(shown))
    marks = [m for m in ticks(lowest, max(shown)) if m >= lowest]
    y = scale((lowest, marks[-1]), (bottom, top))
    step = (width - left) / len(days)
    parts = [text(0, 12, axis, "axis")]
    for mark in marks:
        parts.append(line(left, y(mark), width, y(mark), "zero" if mark == 0 else "grid"))
        parts.append(text(left - 6, y(mark) + 4, f"{mark:g}", "tick", "end"))
    parts += [text(left + at * step, bottom + 18, name, "tick") for at, name in months]
    for i, day in enumerate(days):
        if day.actual is not None:
            high, foot = y(max(day.actual, 0)), y(min(day.actual, 0))
            tip = f"{day.label}: {day.actual:.1f} min"
            parts.append(rect(left + i * step, high, step - 0.5, foot - high, "day", tip))
    for kind, pick in (("expected", lambda d: d.expected), ("outlook", lambda d: d.outlook)):
        points = [
            (left + (i + 0.5) * step, y(pick(d))) for i, d in enumerate(days) if pick(d) is not None
        ]
        if points:
            parts.append(path(points, kind))
    for at, said in notes:
        place = left + (at + 0.5) * step
        anchor = "end" if place > width - 120 else "start" if place < left + 60 else "middle"
        parts.append(text(place, y(days[at].actual or 0) - 7, said, "note", anchor))
    return svg(width, height, label, parts)
