"""Places in a text: offsets in characters <-> line and column, both counted from 1."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate


class Lines:
    """Where the lines of a text begin. Lines end with LF; the CR of a CRLF belongs to its line.
    They are counted when a place is asked for first, as nobody asks for one of many a text."""

    __slots__ = ("_starts", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []

    def place(self, offset: int) -> tuple[int, int]:
        """(line, column) of the character at ``offset``."""
        if not self._starts:
            lengths = (len(line) + 1 for line in self._text.split("\n"))
            self._starts = list(accumulate(lengths, initial=0))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1
