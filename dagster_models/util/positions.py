"""Places in a text: offsets in characters <-> line and column, both counted from 1."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate


class Lines:
    """Where the lines of a text begin. Lines end with LF; the CR of a CRLF belongs to its line."""

    __slots__ = ("_starts",)

    def __init__(self, text: str) -> None:
        self._starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))

    def place(self, offset: int) -> tuple[int, int]:
        """(line, column) of the character at ``offset``."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
