"""Where the statements of a text of SQL end, for a prompt that reads one line after another."""

from __future__ import annotations

import re

#: What a semicolon in it does not end: strings, quoted names, comments. Each may be unfinished.
_CLOSED = re.compile(
    r"'(?:[^']|'')*('|\Z)|\"(?:[^\"]|\"\")*(\"|\Z)|--[^\n]*|/\*.*?(\*/|\Z)"
    r"|\$((?:[A-Za-z_]\w*)?)\$.*?(\$\4\$|\Z)",
    re.DOTALL,
)
_NOTHING = re.compile(r"(?:\s|--[^\n]*|/\*.*?\*/)*", re.DOTALL)


def split(text: str) -> tuple[list[str], str]:
    """The statements that a semicolon ends, each without it, and what is left behind the last;
    blanks and comments alone are nothing."""
    masked = _CLOSED.sub(lambda match: "x" * len(match[0]), text)
    found, begin = [], 0
    for end in (place for place, char in enumerate(masked) if char == ";"):
        found.append(text[begin:end].strip())
        begin = end + 1
    statements = [it for it in found if not _NOTHING.fullmatch(it)]
    return statements, "" if _NOTHING.fullmatch(text[begin:]) else text[begin:]
