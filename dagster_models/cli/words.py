"""The words that a shell may complete, found in the names of files: no SQL is read for them.

It is asked for at each press of a key, so it imports nothing that is heavy, and what it cannot read
has no words.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PROJECT_FILE = "dagster_models.yaml"  #: that of project.settings, which imports a YAML parser

_FOLDERS = {
    "models": (".sql", ".py"),
    "models_jinja": (".sql",),
    "seeds": (".csv",),
    "scripts": (".py", ".sql"),
}
_HEADER_BYTES = 4000  #: of a file, in which its tags are looked for
_TAGS = re.compile(
    r"(?:^|[\s{,])tags:[ \t]*(?:\[([^\]\n]*)\]|([\w-]+)[ \t]*$|((?:\n[ \t]+- .*)+))", re.M
)
_UP = re.compile(r"\d*\+|\(")


def words(kind: str, typed: str, root: Path | None) -> list[str]:
    """The words of a kind that go on from what is typed, for the project in *root*."""
    if root is None:
        return []
    up = _UP.match(typed) if kind == "selections" else None
    before = up[0] if up else ""
    found = dict.fromkeys(_KINDS[kind](root))
    return [f"{before}{word}" for word in found if word.startswith(typed[len(before) :])]


def nearest_project(given: Path | None, here: Path) -> Path | None:
    """The folder of the project that a command takes."""
    if given is not None:
        return given
    every = (here, *here.parents, here / "project")
    return next((folder for folder in every if (folder / PROJECT_FILE).is_file()), None)


def _files(root: Path) -> Iterator[tuple[Path, str]]:
    """Each file that has a model, seed or script, and the folder that it is of."""
    for folder, endings in _FOLDERS.items():
        for path, folders, names in os.walk(root / folder):
            folders[:] = sorted(it for it in folders if not it.startswith((".", "_")))
            for name in sorted(names):
                if name.endswith(endings) and not name.startswith((".", "_")):
                    yield Path(path, name), folder


def _models(root: Path) -> Iterator[str]:
    yield from (path.stem for path, _ in _files(root))


def _selections(root: Path) -> Iterator[str]:
    paths = [(path, folder) for path, folder in _files(root)]
    yield from (path.stem for path, _ in paths)
    for path, folder in paths:
        schema = path.parent.relative_to(root / folder).as_posix()
        yield from [schema] * (schema != ".")
    yield from (f"tag:{tag}" for tag in _tags(root, [path for path, _ in paths]))
    yield from ("changed", "failed", "tag:", "path:", "kind:", "group:", "owner:")


def _tags(root: Path, paths: list[Path]) -> Iterator[str]:
    for path in (root / PROJECT_FILE, *paths):
        if path.suffix == ".csv":
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(_HEADER_BYTES)
        except OSError:
            continue
        for match in _TAGS.finditer(text):
            listed = match[1] or match[2] or match[3]
            for tag in re.split(r",|\n[ \t]+- ", listed):
                yield from [tag.strip().strip("\"'")] * bool(tag.strip())


def _settings(root: Path) -> Mapping[str, Any]:
    import yaml

    try:
        found = yaml.safe_load((root / PROJECT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _keys(name: str) -> Callable[[Path], Iterator[str]]:
    def of(root: Path) -> Iterator[str]:
        section = _settings(root).get(name)
        yield from (str(key) for key in section) if isinstance(section, dict) else ()

    return of


def _runs(root: Path) -> Iterator[str]:
    folder = os.environ.get("DAGSTER_MODELS_TARGET_PATH") or _settings(root).get("target_path")
    runs = root / str(folder or "target") / "runs"
    yield "last"
    yield from (path.stem for path in sorted(runs.glob("*.jsonl"), key=os.path.getmtime)[::-1])


_KINDS: Mapping[str, Callable[[Path], Iterator[str]]] = {
    "selections": _selections,
    "models": _models,
    "targets": _keys("targets"),
    "jobs": _keys("jobs"),
    "runs": _runs,
}
KINDS = tuple(_KINDS)
