"""Changes of a project's files, for a command that is run again after each of them."""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_SEEN = ("created", "modified", "moved", "deleted")
#: An editor that saves makes several changes at once; seconds without one end them.
_QUIET_SECONDS = 0.2


class _Changed(FileSystemEventHandler):
    """Puts the path of each file that has changed into a queue, except those that are ours."""

    def __init__(self, root: Path, left_out: Path, found: queue.SimpleQueue[Path]) -> None:
        self._root, self._left_out, self._found = root, left_out, found

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory or event.event_type not in _SEEN:
            return
        for name in filter(None, (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))):
            path = Path(name)
            inside = path.relative_to(self._root).parts if path.is_relative_to(self._root) else ()
            ours = path.is_relative_to(self._left_out) or "__pycache__" in inside
            if inside and not ours and not any(part.startswith(".") for part in inside):
                self._found.put(path)


def changes(root: Path, left_out: Path) -> Iterator[list[str]]:
    """The files below *root* that have changed together, relative to it, each time that some have.
    The first time is at once, with none. What is below *left_out* does not count, and neither do
    hidden files."""
    root, left_out = root.resolve(), left_out.resolve()
    found: queue.SimpleQueue[Path] = queue.SimpleQueue()
    observer = Observer()
    observer.schedule(_Changed(root, left_out, found), str(root), recursive=True)
    observer.start()
    try:
        yield []
        while True:
            paths = {found.get()}
            try:
                while True:
                    paths.add(found.get(timeout=_QUIET_SECONDS))
            except queue.Empty:
                yield sorted(str(path.relative_to(root)) for path in paths)
    finally:
        observer.stop()
        observer.join()
