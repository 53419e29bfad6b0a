"""Which known name an unknown one most resembles."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

#: How alike two words are at least, by the ratio of difflib.
_CUTOFF = 0.6


def nearest(word: str, known: Collection[str], count: int = 1) -> list[str]:
    """The *known* words most like *word*, best first; an empty list if none is close."""
    folded = {name.lower(): name for name in sorted(known, reverse=True)}
    return [folded[name] for name in _close(word.lower(), sorted(folded), count)]


def _close(word: str, known: Sequence[str], count: int) -> list[str]:
    """As ``difflib.get_close_matches``, which computes the ratio of each word that may be close.
    Here the most promising ones are first, and those that cannot be better any more are left."""
    matcher = difflib.SequenceMatcher(b=word)
    promising: list[tuple[float, str]] = []
    for name in known:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= _CUTOFF and (bound := matcher.quick_ratio()) >= _CUTOFF:
            promising.append((bound, name))
    found: list[tuple[float, str]] = []
    for bound, name in sorted(promising, reverse=True):
        if len(found) == count and bound < found[-1][0]:
            break
        matcher.set_seq1(name)
        if (ratio := matcher.ratio()) >= _CUTOFF:
            found = sorted([*found, (ratio, name)], reverse=True)[:count]
    return [name for _, name in found]


def suggest(word: str, known: Collection[str], noun: str = "Known keys") -> str:
    """Advice about an unknown word: the nearest known one, or else all of them."""
    close = nearest(word, known)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"{noun}: {', '.join(sorted(known))}." if known else ""
