"""The comments of a text: sqlglot's tokens leave them out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import Token

#: What may be between two tokens.
_PIECE = re.compile(r"--[^\n]*|#[^\n]*|/\*.*?\*/|\s+", re.DOTALL)


def comments_before(text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, list[slice]]]:
    """Yield the index of each token that has comments before it, and their places in the text.

    The number of tokens stands for the end of the text. A comment within a comment, which some
    dialects allow, ends the list of its place: what it is about cannot be seen.
    """
    ends = (0, *(token.end + 1 for token in tokens))
    starts = (*(token.start for token in tokens), len(text))
    for index, (start, end) in enumerate(zip(ends, starts, strict=True)):
        if (
            end - start > 1
            and not text[start:end].isspace()
            and (found := [*_comments(text, start, end)])
        ):
            yield index, found


def _comments(text: str, start: int, end: int) -> Iterator[slice]:
    while start < end and (piece := _PIECE.match(text, start, end)):
        start = piece.end()
        if not piece[0].isspace():
            yield slice(piece.start(), start)
