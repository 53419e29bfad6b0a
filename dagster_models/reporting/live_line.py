"""The last line of a terminal, which is drawn anew while something goes on.

Everything else that is written goes above it, in one piece. After each drawing the cursor is at the
line's begin, and to erase the line is to erase all from there to the screen's end: that holds
whatever became of the line when the window was resized meanwhile. The cursor is never hidden and no
mode of the terminal is changed, so a process that is killed leaves nothing behind but the line.

This is not rich or tqdm: the one takes 0.1 s to import and hides the cursor, the other shows bars.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TextIO

_ERASE = "\r\x1b[J"  #: the cursor goes to the line's begin; all from there on is erased
FIRST_SECONDS = 1.0  #: what takes less time shows no line
EVERY_SECONDS = 0.5


class LiveLine:
    """Draws what ``text`` returns for a width, from a second after its begin until ``stop``.

    Its methods may be called from any thread. Those that write raise what the stream raises; a
    drawing that fails ends the line.
    """

    def __init__(self, stream: TextIO, text: Callable[[int], str]) -> None:
        self._stream, self._text = stream, text
        self._lock = threading.RLock()
        self._drawn = ""
        self._visible = False  # from the first second on
        self._hidden = False
        self._stopped = threading.Event()
        threading.Thread(target=self._tick, daemon=True, name="live-line").start()
        atexit.register(self.stop)

    def write(self, text: str) -> None:
        """Write whole lines above the line."""
        with self._lock:
            drawn = self._new()
            erase = _ERASE if self._drawn else ""
            self._drawn = drawn
            self._stream.write(erase + text + self._drawing(drawn))
            self._stream.flush()

    def hide(self, hidden: bool = True) -> None:
        """Draw nothing from now on, as others write to the terminal; or draw again."""
        with self._lock:
            self._hidden = hidden
            self._draw()

    def stop(self) -> None:
        """Erase the line, for good."""
        atexit.unregister(self.stop)
        with self._lock:
            self._stopped.set()
            self._draw()

    def _tick(self) -> None:
        wait = FIRST_SECONDS
        while not self._stopped.wait(wait):
            wait = EVERY_SECONDS
            with self._lock:
                self._visible = True
                self._draw()

    def _draw(self) -> None:
        drawn = self._new()
        if drawn == self._drawn:
            return
        erase, self._drawn = _ERASE if self._drawn else "", drawn
        try:
            self._stream.write(erase + self._drawing(drawn))
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone, which whoever writes to it notices
            self._drawn = ""
            self._stopped.set()

    def _new(self) -> str:
        """What the line is to show now; "" for no line."""
        if self._stopped.is_set() or not self._visible or self._hidden or not self._in_front():
            return ""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            return ""
        return self._text(columns - 1)  # in the last one some terminals begin the next row

    def _drawing(self, line: str) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return line.encode(encoding, "replace").decode(encoding) + "\r" if line else ""

    def _in_front(self) -> bool:
        """Whether the terminal is ours: in the background, the line would be in the shell's way."""
        try:
            return os.tcgetpgrp(self._stream.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return False


def is_live(stream: TextIO) -> bool:
    """Whether a line can be drawn anew there: not in a file, a pipe, or a dumb terminal."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return False
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):
        return False
