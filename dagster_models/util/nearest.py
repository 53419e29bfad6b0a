"""Which known name an unknown one most resembles."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def nearest(word: str, known: Collection[str], count: int = 1) -> list[str]:
    """The *known* words most like *word*, best first; an empty list if none is close."""
    folded = {name.lower(): name for name in sorted(known, reverse=True)}
    found = difflib.get_close_matches(word.lower(), sorted(folded), n=count, cutoff=0.6)
    return [folded[name] for name in found]


def suggest(word: str, known: Collection[str], noun: str = "Known keys") -> str:
    """Advice about an unknown word: the nearest known one, or else all of them."""
    close = nearest(word, known)
    if close:
        return f"Did you mean `{close[0]}`?"
    return f"{noun}: {', '.join(sorted(known))}." if known else ""
