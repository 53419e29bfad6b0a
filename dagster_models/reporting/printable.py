"""Text from outside (names, messages, values), made safe to print."""

from __future__ import annotations

import re

# Colours and titles in a script's output are dropped whole. Anything else that could act on a
# terminal (control characters, direction overrides) or cannot be encoded (lone surrogates) is shown
# as \x1b.
_ESCAPE_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\\\|\x9c)"
)
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """``text`` as one line that is safe to print."""
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text).splitlines()).expandtabs(4)
    return _UNPRINTABLE.sub(lambda match: ascii(match[0])[1:-1], text)


def clean_lines(text: str) -> list[str]:
    """The lines of ``text``, each safe to print, without blank ones."""
    return [line for part in text.splitlines() if (line := clean(part).rstrip())]
