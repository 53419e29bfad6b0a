"""The edits between two SQL texts, by their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from dagster_models.sql.kept_case import kept_case
from dagster_models.sql.tokens import TokenizedText


class Edit(NamedTuple):
    """The place from *start* to *end* of one text has what *from_* to *to* of the other has."""

    start: int
    end: int
    from_: int
    to: int

    @property
    def backwards(self) -> Edit:
        return Edit(self.from_, self.to, self.start, self.end)


def edits(old: str, new: str, dialect: str) -> list[Edit]:
    """What turns *old* into *new*, apart from comments, white space and the case of keywords."""
    one, two = TokenizedText(old, dialect), TokenizedText(new, dialect)
    matcher = SequenceMatcher(None, _words(one), _words(two), autojunk=False)
    return [
        Edit(*_place(one, i, j), *_place(two, k, m))
        for kind, i, j, k, m in matcher.get_opcodes()
        if kind != "equal"
    ]


def replaced(text: str, other: str, edits: Sequence[Edit]) -> str:
    """*text* with *edits*, whose new parts are in *other*."""
    for edit in sorted(edits, reverse=True):
        part = other[edit.from_ : edit.to]
        text = f"{text[: edit.start]} {part} {text[edit.end :]}"
    return text


def _words(source: TokenizedText) -> list[str]:
    kept = kept_case(source.statements(), source.text, source.tokens, source.dialect)
    return source.words(kept)


def _place(source: TokenizedText, begin: int, end: int) -> tuple[int, int]:
    """The offsets of the tokens from *begin* to *end*."""
    if begin < end:
        return source.tokens[begin].start, source.tokens[end - 1].end + 1
    at = source.tokens[begin].start if begin < len(source.tokens) else len(source.text)
    return at, at
