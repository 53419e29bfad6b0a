"""How the processes that share a database find each other, and how they greet.

<db>.lock                  beside the database; flock'ed by its warehouse process for life, and
                           holds a Listener: clients with another TMPDIR find it too
<runtime>/<server>.lock    the same for a database server
<runtime>/<hash>.sock      its socket, in a private folder; a hash, as socket addresses are short
<runtime>/<hash>.log       its stderr
<runtime>/<hash>.start     flock'ed by the one client that starts it
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from dagster_models.errors import ErrorKind, WarehouseError

#: Increased when frames change, so that processes of different versions refuse each other.
PROTOCOL = 4


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a warehouse process listens, and how to find out whether it still lives."""

    socket: str
    pid: int
    host: str = ""
    log: str = ""


def publish_listener(fd: int, listener: Listener) -> None:
    """Write where the holder of the lock listens into its lock file."""
    text = json.dumps(asdict(listener)).encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


def read_listener(path: str) -> Listener | None:
    """What the last holder of a warehouse's lock wrote; None while there is nothing to read."""
    try:
        with open(path + ".lock", encoding="utf-8") as file:
            found = json.load(file)
        # Other versions may write more: they are still to be named in the hello.
        return Listener(found["socket"], found["pid"], found.get("host", ""), found.get("log", ""))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


@cache
def package_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("dagster-models")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def greeting(path: str) -> dict[str, Any]:
    """What both sides say about themselves in the hello."""
    return {
        "protocol": PROTOCOL,
        "version": package_version(),
        "pid": os.getpid(),
        "path": path,
    }


def check_hello(hello: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Refuse a client of another warehouse or another version. Raises WarehouseError."""
    if hello.get("op") != "hello" or hello.get("path") != mine["path"]:
        raise WarehouseError(
            ErrorKind.INVALID_REQUEST,
            f"this is the warehouse process (pid {mine['pid']}) of {mine['path']}",
        )
    for what in ("protocol", "version"):
        if hello.get(what) != mine[what]:
            raise WarehouseError(
                ErrorKind.VERSION_MISMATCH,
                f"the warehouse process (pid {mine['pid']}) of {mine['path']} runs dagster-models"
                f" {mine['version']} (protocol {mine['protocol']}), this client"
                f" {hello.get('version')} (protocol {hello.get('protocol')}): let the runs of the"
                f" other version end, or end the process: kill {mine['pid']}",
            )
