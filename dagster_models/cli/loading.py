"""The line that a terminal shows while a project loads for longer than a second."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast

from dagster_models.reporting.live_line import LiveLine, is_live
from dagster_models.util.progress import is_heard, listening


@contextmanager
def shown_loading(what: str = "Loading the project") -> Iterator[None]:
    """Show in the block what is done, how many files are read and of how many. The line is written
    to stderr: stdout may be a file, for which the line is not meant."""
    if is_heard() or sys.stderr is None or not is_live(sys.stderr):
        yield
        return
    from dagster_models.reporting.progress import fitting, short  # which no other load needs

    began, far = time.monotonic(), [""]

    def told(of: str, done: int, total: int) -> None:
        far[0] = f", {done} of {total} {of}"

    def text(width: int) -> str:
        return fitting(f"{what}{far[0]} ({short(time.monotonic() - began)})", width)

    line = LiveLine(sys.stderr, text)
    above = _Above(line, sys.stderr)
    try:
        with listening(told), redirect_stderr(above), redirect_stdout(_shared(above)):
            yield
    finally:
        line.stop()
        above.end()


class _Above(io.TextIOBase):
    """The terminal as it is for others meanwhile: what they write goes above the line."""

    def __init__(self, line: LiveLine, stream: TextIO) -> None:
        self._line, self._stream, self._rest = line, stream, ""

    def write(self, text: str) -> int:
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._line.write(lines + newline)
        return len(text)

    def end(self) -> None:
        """Write what is no whole line."""
        if self._rest:
            self._line.write(self._rest)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()


def _shared(above: _Above) -> TextIO:
    """Where stdout goes: above the line too, if it is a terminal."""
    own = sys.stdout
    return cast(TextIO, above) if own is not None and is_live(own) else own
