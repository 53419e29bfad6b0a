"""The modules of the project that a Python file imports, and what those import in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dagster_models.errors import SqlSyntaxError
from dagster_models.project.python.reads import imports_of
from dagster_models.project.python.source import fingerprint, module_paths

ReadFile = Callable[[str], "str | None"]
"""Returns the text of a file by its path below the project's folder, None if there is none."""


@dataclass(frozen=True, slots=True)
class Modules:
    """The modules of the project, as a model or script finds them.

    ``folders`` are those below the project's folder that are in ``sys.path`` when the file runs, ""
    for the project's own.
    """

    folders: Sequence[str]
    read: ReadFile

    def imported(self, source: str) -> Mapping[str, str]:
        """The path and the text of all modules that *source* may import, directly or through
        others. A model or script is loaded as a file, so *source* has no relative imports; the
        modules of a package may have some."""
        found: dict[str, str] = {}
        todo = list(self._imports(source, ""))
        while todo:
            path = todo.pop()
            text = self.read(path) if path not in found else None
            if text is not None:
                found[path] = text
                todo += self._imports(text, path)
        return found

    def find(self, name: str, path: str) -> tuple[str, str] | None:
        """The module that a dotted name in the file *path* begins with, and the rest of the name:
        `helper.load` is `load` of helper.py. None if it is no module of the project."""
        parts = name.lstrip(".").split(".")
        for folder in self._folders(name, path):
            for length in range(len(parts), -1, -1):
                module = ".".join(parts[:length])
                files = module_paths(module)[-2:] if module else ["__init__.py"]
                for file in files if module or name.startswith(".") else ():
                    if self.read(folder + file) is not None:
                        return folder + file, ".".join(parts[length:])
        return None

    def _imports(self, source: str, path: str) -> Iterator[str]:
        """The files that the imports of *source* (of the file *path*) may run."""
        for name in _imported_names(source):
            bare = name.lstrip(".")
            for folder in self._folders(name, path):
                yield from (folder + file for file in (module_paths(bare) if bare else ()))
                if name.startswith("."):
                    yield f"{folder}__init__.py"

    def _folders(self, name: str, path: str) -> Iterator[str]:
        """The folders in which a dotted name in the file *path* may begin."""
        level = len(name) - len(name.lstrip("."))
        package = path.split("/")[:-1]
        if not level:
            yield from self.folders
        elif level <= len(package):
            # `.` is the package that the file is in, each further dot the one around it.
            yield "/".join([*package[: len(package) - level + 1], ""])


def imported_code(modules: Mapping[str, str]) -> str:
    """The code of some modules in one text without comments and formatting."""
    return "\n".join(f"{path}\n{_fingerprint(modules[path])}" for path in sorted(modules))


def _imported_names(source: str) -> tuple[str, ...]:
    try:
        return imports_of(source)
    except SqlSyntaxError:  # reported where it is a model, or when it is imported
        return ()


# Many models import the same few modules.
@lru_cache(maxsize=1024)
def _fingerprint(text: str) -> str:
    try:
        return fingerprint(text)
    except (SyntaxError, ValueError):
        return text
