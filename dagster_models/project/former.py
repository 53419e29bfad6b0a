"""``target/models.json``: the models that loads have seen, so that the name of one is still known.

It is a cache: without it, such a name is one that nobody has declared.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from dagster_models.util.atomic_file import replace_file

MODELS_FILE = "models.json"


def models_seen(folder: str | Path) -> frozenset[str]:
    """The keys of all models that were loaded; none where the file is missing or odd."""
    try:
        known = json.loads((Path(folder) / MODELS_FILE).read_text(encoding="utf-8"))
        return frozenset(filter(lambda name: isinstance(name, str), known))
    except (OSError, ValueError, TypeError):
        return frozenset()


def remember_models(folder: str | Path, seen: frozenset[str], now: Iterable[object]) -> None:
    """Add those that are there *now* to those *seen* before."""
    every = seen.union(map(str, now))
    if every != seen:
        with contextlib.suppress(OSError):  # a folder that nobody may write to
            Path(folder).mkdir(parents=True, exist_ok=True)
            replace_file(Path(folder) / MODELS_FILE, json.dumps(sorted(every)))
