"""A standard stream whose reader went away."""

from __future__ import annotations

import os
from typing import TextIO


def forget_reader(stream: TextIO) -> bool:
    """Send a standard stream that lost its reader to nowhere; whether it can be written to again.

    Otherwise Python flushes to the lost reader at exit, and the run ends with code 120.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        lost = stream.fileno()
        if lost not in (1, 2):  # not compared by identity, as the stream may be wrapped
            return False
        target = os.open(os.devnull, os.O_WRONLY)
        os.dup2(target, lost)
        os.close(target)
    except (OSError, ValueError):
        return False
    return True
