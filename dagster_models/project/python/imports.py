"""The code of the project that a Python file imports, and what that imports in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from dagster_models.errors import SqlSyntaxError
from dagster_models.project.python.reads import read_python
from dagster_models.project.python.source import fingerprint, module_paths

ReadFile = Callable[[str], "str | None"]
"""Returns the text of a file by its path below the project's folder, None if there is none."""


def imported_code(source: str, folders: Sequence[str], read: ReadFile) -> str:
    """The code of all modules of the project that *source* may import, directly or through others,
    in one text without comments and formatting.

    *folders* are those below the project's folder that are in ``sys.path`` when the file runs, ""
    for the project's own. A model or script is loaded as a file, so *source* has no relative
    imports; the modules of a package may have some.
    """
    seen: dict[str, str] = {}
    todo = list(_imports(source, folders, ""))
    while todo:
        path = todo.pop()
        text = read(path) if path not in seen else None
        if text is None:
            continue
        seen[path] = _fingerprint(text)
        todo += _imports(text, folders, path)
    return "\n".join(f"{path}\n{seen[path]}" for path in sorted(seen))


def _imports(source: str, folders: Sequence[str], path: str) -> Iterator[str]:
    """The files that the imports of *source* (of the file *path*) may run."""
    for name in _imported_names(source):
        bare = name.lstrip(".")
        level = len(name) - len(bare)
        if not level:
            for folder in folders:
                yield from (folder + file for file in module_paths(bare))
        elif path:
            # `.` is the package that the file is in, each further dot the one around it.
            package = path.split("/")[:-1]
            if level <= len(package):
                around = "/".join(package[: len(package) - level + 1])
                yield from (f"{around}/{file}" for file in (module_paths(bare) if bare else ()))
                yield f"{around}/__init__.py"


# Many models import the same few modules.
@lru_cache(maxsize=1024)
def _imported_names(source: str) -> tuple[str, ...]:
    try:
        return read_python(source).imports
    except SqlSyntaxError:  # reported where it is a model, or when it is imported
        return ()


@lru_cache(maxsize=1024)
def _fingerprint(text: str) -> str:
    try:
        return fingerprint(text)
    except (SyntaxError, ValueError):
        return text
