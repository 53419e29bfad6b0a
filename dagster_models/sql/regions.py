"""The two readings of an incremental model's text: as it stands, and for a build in full.

    select * from raw.events
    /* @incremental */ where at > (select max(at) from marts.events) /* @end */

A first build and a full refresh leave such a region out. The other way round, ``@full`` puts in
what is a comment otherwise, in place of the region before it if there is one:

    /* @incremental */ select ... from changed
    /* @full           select ... from everything */

So an editor runs the incremental query, and the text says in place what a full build does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dagster_models.errors import SqlSyntaxError
from dagster_models.sql.dialects.table import dialect_of
from dagster_models.sql.executed_comments import opened

_MARK = re.compile(r"/\*\s*@(incremental|end|full)\b(.*)\*/", re.DOTALL)
_NOT_A_LINE_BREAK = re.compile(r"[^\n]")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A comment that is a mark; ``said`` is the place of what it holds besides."""

    word: str
    start: int
    end: int
    said: slice


def full_text(text: str, dialect: str) -> str | None:
    """Return the text for a build in full, None if it is the text as it stands.

    What is left out becomes blanks, so every place stays the same. Raises SqlSyntaxError for marks
    that do not match, and for a text that has no tokens.
    """
    if not _MARK.search(text):
        return None
    marks = [*_marks(text, dialect)]
    try:
        return _without(text, _left_out(text, marks)) if marks else None
    except _Misplaced as error:
        from dagster_models.sql.tokens import TokenizedText

        raise TokenizedText(text, dialect).error(*error.args) from None


def _marks(text: str, dialect: str) -> Iterator[_Mark]:
    from dagster_models.sql.literals import layout
    from dagster_models.sql.tokens import TokenizedText

    plain = opened(text) if dialect_of(dialect).executes_comments else text
    try:
        comments = layout(plain, dialect).comments  # which others ask for, too
    except SqlSyntaxError:
        raise TokenizedText(text, dialect).unclosed() from None
    for place in comments:
        found = _MARK.fullmatch(text, place.start, place.stop)
        if found is not None:
            yield _Mark(found[1], place.start, place.stop, slice(*found.span(2)))


class _Misplaced(Exception):
    """A mark is where it means nothing: what, the place, and what to do."""


def _left_out(text: str, marks: list[_Mark]) -> Iterator[slice]:
    begun: _Mark | None = None
    replaced = -1  #: the end of an @full that was in place of a region
    for mark in marks:
        if mark.word != "full" and text[mark.said].strip():
            raise _Misplaced(f"/* @{mark.word} */ holds something else, too", mark.start)
        if mark.word == "incremental":
            if begun is not None:
                raise _unclosed(begun)
            begun = mark
        elif mark.word == "full":
            yield slice(begun.start if begun else mark.start, mark.said.start)
            yield slice(mark.said.stop, mark.end)
            replaced = mark.end if begun else -1
            begun = None
        elif begun is not None:
            yield slice(begun.start, mark.end)
            begun = None
        elif replaced < 0 or text[replaced : mark.start].strip():
            fix = "Write `/* @incremental */` where the region begins."
            raise _Misplaced("/* @end */ ends no region", mark.start, fix)
    if begun is not None:
        raise _unclosed(begun)


def _unclosed(mark: _Mark) -> _Misplaced:
    fix = "Write `/* @end */`, or `/* @full ... */`, where it ends; a region has none inside."
    return _Misplaced("this /* @incremental */ region has no end", mark.start, fix)


def _without(text: str, left_out: Iterator[slice]) -> str:
    pieces, done = [], 0
    for place in left_out:
        pieces += [text[done : place.start], _NOT_A_LINE_BREAK.sub(" ", text[place])]
        done = place.stop
    return "".join([*pieces, text[done:]])
