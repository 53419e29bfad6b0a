"""What reads what as a picture: from left to right, each node in a column behind all it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dagster_models.pages.document import escaped

_COLUMN, _ROW, _WIDTH, _HEIGHT, _MARGIN = 250, 34, 190, 24, 8
_MOST_CHARACTERS = 27
#: How often the rows of a column are put in order by what their nodes read and are read by.
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Place:
    """Where the left upper corner of a node is, in pixels."""

    x: float
    y: float


def places(reads: Mapping[str, Sequence[str]]) -> dict[str, Place]:
    """The place of each node. *reads* has each after all that it reads, and knows no others."""
    column: dict[str, int] = {}
    for name, those in reads.items():
        column[name] = max((column[it] + 1 for it in those if it in column), default=0)
    columns: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name, at in column.items():
        columns[at].append(name)
    readers: dict[str, list[str]] = {name: [] for name in reads}
    for name, those in reads.items():
        for it in those:
            if it in readers:
                readers[it].append(name)
    row = {name: float(at) for names in columns for at, name in enumerate(names)}
    for sweep in range(_SWEEPS):
        beside = reads if sweep % 2 == 0 else readers
        for names in columns if sweep % 2 == 0 else reversed(columns):
            names.sort(key=lambda name: _middle(row, beside[name], row[name]))
            row |= {name: float(at) for at, name in enumerate(names)}
    return {
        name: Place(_MARGIN + _COLUMN * column[name], _MARGIN + _ROW * row[name]) for name in reads
    }


def _middle(row: Mapping[str, float], names: Sequence[str], otherwise: float) -> float:
    known = [row[name] for name in names if name in row]
    return sum(known) / len(known) if known else otherwise


def graph_picture(reads: Mapping[str, Sequence[str]], kinds: Mapping[str, str]) -> str:
    """The picture as SVG. *kinds*: the class of each node's box; each leads to its step."""
    at = places(reads)
    if not at:
        return '<p class="soft">There is nothing to draw.</p>'
    width = max(it.x for it in at.values()) + _WIDTH + _MARGIN
    height = max(it.y for it in at.values()) + _HEIGHT + _MARGIN
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
    ]
    for name, those in reads.items():
        parts += (_edge(at[it], at[name]) for it in those if it in at)
    for name, place in at.items():
        parts += _box(name, place, kinds.get(name, "skipped"))
    return "".join([*parts, "</svg>"])


def _edge(one: Place, other: Place) -> str:
    x1, y1 = one.x + _WIDTH, one.y + _HEIGHT / 2
    x2, y2 = other.x, other.y + _HEIGHT / 2
    bend = max(30.0, (x2 - x1) / 2)
    return (
        f'<path class="edge" d="M{x1:.0f} {y1:.0f}C{x1 + bend:.0f} {y1:.0f}'
        f' {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'
    )


def _box(name: str, at: Place, kind: str) -> Iterator[str]:
    short = name if len(name) <= _MOST_CHARACTERS else f"...{name[-_MOST_CHARACTERS + 3 :]}"
    yield f'<a href="#step-{escaped(name)}"><title>{escaped(name)}</title><g class="box">'
    yield (
        f'<rect class="{kind}" x="{at.x:.0f}" y="{at.y:.0f}" width="{_WIDTH}" height="{_HEIGHT}"'
        ' rx="4"/>'
    )
    yield f'<text x="{at.x + 8:.0f}" y="{at.y + 16:.0f}">{escaped(short)}</text></g></a>'
