"""The memory of some processes: what the machine would have free if they ended. Linux only.

Not their PSS: other programs of the machine that map the same libraries would make that smaller.
Pages of a file count once, however many of these processes have them, and anonymous pages that
forks share are divided among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

Pages: TypeAlias = "tuple[str, str, str]"  #: of a file: its device, its inode, where they begin


def pids(mark: str) -> Iterator[tuple[int, str]]:
    """(pid, command line) of each process that was started with *mark* in its environment."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):  # it has ended, or belongs to another user
                if mark.encode() in Path("/proc", name, "environ").read_bytes():
                    command = Path("/proc", name, "cmdline").read_bytes()
                    yield int(name), command.replace(b"\0", b" ").decode()


def mib(processes: Iterable[tuple[int, str]]) -> dict[str, float]:
    """Kind -> MiB, of (pid, kind). A file's pages count for the first kind that has them."""
    found: dict[str, float] = {}
    seen: dict[Pages, int] = {}
    for pid, kind in processes:
        with suppress(OSError):  # it has just ended
            kib = _anonymous_kib(pid)
            for pages, size in _file_kib(pid).items():
                kib += max(0, size - seen.get(pages, 0))
                seen[pages] = max(size, seen.get(pages, 0))
            found[kind] = found.get(kind, 0.0) + kib / 1024
    return found


def _anonymous_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    wanted = ("Pss_Anon:", "Pss_Shmem:")
    return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def _file_kib(pid: int) -> Mapping[Pages, int]:
    """The pages of files that are in memory, without those that the process has changed."""
    found: dict[Pages, int] = {}
    of_file: Pages | None = None
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):  # the head of a mapping
            _, offset, device, inode = rest[:4]
            memory = rest[4:] and rest[4].startswith("/dev/shm")
            of_file = (device, inode, offset) if inode != "0" and not memory else None
        elif of_file is not None and name in ("Rss:", "Anonymous:"):
            size = int(rest[0])
            found[of_file] = found.get(of_file, 0) + (size if name == "Rss:" else -size)
    return found
