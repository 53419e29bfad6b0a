"""Writing to any reader: a terminal of any encoding, a file, `| head -1`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

#: What a shell reports for a program that SIGPIPE ended: https://tldp.org/LDP/abs/html/exitcodes.html
LOST_READER = 141


def prepare() -> None:
    """Let the standard streams accept every character.

    A file or a program gets UTF-8, like the project's own files. A terminal of another encoding
    gets escapes for what it cannot show.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is None:  # closed, or not a stream of Python's own
            continue
        with contextlib.suppress(ValueError, OSError):
            chosen = stream.isatty() or os.environ.get("PYTHONIOENCODING")
            encoding = stream.encoding if chosen else "utf-8"
            reconfigure(encoding=encoding, errors="backslashreplace")


@contextlib.contextmanager
def reader_may_leave() -> Iterator[None]:
    """In the block, and when Python flushes at exit, a reader that goes away ends the command.

    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop(sys.stdout)
        raise SystemExit(LOST_READER) from None
    except OSError as error:
        _drop(sys.stdout)
        what = error.filename or "the output cannot be written"
        print(f"{what}: {error.strerror}", file=sys.stderr)
        raise SystemExit(1) from None


def _drop(stream: TextIO) -> None:
    """Redirect the stream to nowhere: Python would write the rest of its buffer at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())


def shows(text: str) -> bool:
    """Whether stdout can show *text* as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
