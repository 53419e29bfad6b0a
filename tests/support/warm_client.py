"""What asks the warm process of ``warm_python`` to become a program; also the commands of a shell.

A command of a shell is a file that imports this module and little else, so it starts in a tenth of
the time of the program.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

#: The variables that Python or the loader read when a process starts, which is over by then, and
#: those that Python reads once.
_READ_AT_START = ("PYTHON", "LANG", "LC_", "LD_", "MALLOC_", "TMP", "TEMP")


def read_at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: env[name] for name in env if name.startswith(_READ_AT_START)}


def ask(
    server: socket.socket,
    command: Sequence[str],
    folder: str,
    env: Mapping[str, str],
    streams: Sequence[int],
) -> None:
    """Ask for a program with these three streams. The process id comes back, a space, and at the
    end the exit code, which is negative for a signal."""
    socket.send_fds(server, [b"\0"], list(streams))
    server.sendall(json.dumps([list(command), folder, dict(env)]).encode() + b"\n")


def be(address: str, at_start: Mapping[str, str], program: str) -> NoReturn:
    """Be *program* with the arguments, the streams, the folder and the environment of this process.

    at_start: the variables that the warm process has read; with others it is a new process."""
    command = [program, *sys.argv[1:]]
    if read_at_start(os.environ) != at_start:
        os.execv(program, command)
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        ask(server, command, os.getcwd(), os.environ, (0, 1, 2))
        code = int(server.makefile().read().split()[1])
    os._exit(code if code >= 0 else 128 - code)  # of a signal, as a shell has it
