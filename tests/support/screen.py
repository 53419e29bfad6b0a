"""What a terminal shows: as much of one as the live line needs, and a real one for programs."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

_PARTS = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|[\r\n]|[^\r\n\x1b]", re.DOTALL)


def shown(text: str, columns: int) -> list[str]:
    """The rows on the screen of a terminal after this output, without empty ones at the end."""
    rows, row, column = [[""] * 0], 0, 0
    for part in _PARTS.finditer(text):
        if part[2] == "J":
            assert part[1] == "", "erases from the cursor on"
            rows[row] = rows[row][:column]
            del rows[row + 1 :]
        elif part[2] is not None:
            assert part[2] in "mK" or part[1].startswith("?"), f"unknown sequence {part[0]!r}"
        elif part[0] == "\r":
            column = 0
        elif part[0] == "\n":  # the terminal's line discipline writes \r before it
            row += 1
            if row == len(rows):
                rows.append([])
        else:
            if column == columns:
                row, column = row + 1, 0
                if row == len(rows):
                    rows.append([])
            line = rows[row]
            line += [" "] * (column + 1 - len(line))
            line[column] = part[0]
            column += 1
    lines = ["".join(line).rstrip() for line in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


class Screen:
    """The other end of a terminal: what was written to it, and the keys."""

    def __init__(self, master: int, columns: int) -> None:
        self.master, self.columns, self.text = master, columns, ""

    def resize(self, columns: int) -> None:
        self.columns = columns
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def lines(self) -> list[str]:
        return shown(self.text, self.columns)

    def last(self) -> str:
        """The last line that is not empty."""
        return (self.lines() or [""])[-1]

    def read(self, seconds: float = 0.0) -> bool:
        """Read what is there, or comes in that time; False at the end."""
        while select.select([self.master], [], [], seconds)[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                return False
            if not data:
                return False
            self.text += data.decode()
            seconds = 0.0
        return True

    def wait_for(self, wanted: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not wanted():
            assert time.monotonic() < end, self.text[-3000:]
            if not self.read(0.05):
                assert wanted(), self.text
                return

    def keys(self, text: str) -> None:
        os.write(self.master, text.encode())


@contextmanager
def terminal(columns: int = 80) -> Iterator[tuple[Screen, int]]:
    """A terminal: its screen, and the file descriptor to write to."""
    master, slave = pty.openpty()
    screen = Screen(master, columns)
    screen.resize(columns)
    try:
        yield screen, slave
    finally:
        os.close(master)
        os.close(slave)


@contextmanager
def in_terminal(
    command: Sequence[str], env: Mapping[str, str], cwd: str, columns: int = 80
) -> Iterator[tuple[Screen, subprocess.Popen[bytes]]]:
    """A program that has a terminal of its own, in which Ctrl-C is the key \\x03."""
    with terminal(columns) as (screen, slave):
        process = subprocess.Popen(
            command,
            env={**env, "TERM": "xterm"},
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        try:
            yield screen, process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
