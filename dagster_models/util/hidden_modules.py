"""Libraries that a process does without, although they are installed."""

from __future__ import annotations

import sys


class _Hidden:
    """To the import system, this says that some modules are not installed."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide(*names: str) -> None:
    """From now on, these modules cannot be imported in this process, as if they were not installed.
    What has been imported already stays."""
    sys.meta_path.insert(0, _Hidden(frozenset(names)))
