"""Tables of text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], between: str = "  ") -> list[str]:
    """A line for each row, in which the cells of a column begin below each other; nothing is left
    blank at a line's end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        between.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
