"""MySQL's comments that are SQL: `/*! straight_join */`, `/*!80000 join b using (id) */`.

    opened(text) -> the text with blanks in place of their marks

The server runs what is in them if its version is not below the number. MariaDB writes `/*M!` too.
Which server it will be is not known here, so all of them are read.
"""

from __future__ import annotations

import re

_PIECE = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|(?:--\s|\#)[^\n]*"""
    r"""|(?P<open>/\*M?!\d{0,6})|/\*.*?\*/|(?P<close>\*/)|.""",
    re.DOTALL,
)


def opened(text: str) -> str:
    """*text* with blanks in place of the marks of executed comments: every offset stays."""
    if "/*!" not in text and "/*M!" not in text:
        return text
    pieces, depth = [], 0
    for piece in _PIECE.finditer(text):
        opens, closes = piece["open"] is not None, piece["close"] is not None and depth > 0
        depth += opens - closes
        pieces.append(" " * len(piece[0]) if opens or closes else piece[0])
    return "".join(pieces)
