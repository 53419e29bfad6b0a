"""The files of a project: which there are, and what is in them."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dagster_models.errors import Problem
from dagster_models.project.problems import Report
from dagster_models.util.plain_names import NAME

if TYPE_CHECKING:
    from dagster_models.project.templates import Rendered

#: The folders of a project -> the endings of the files that make its steps and checks.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "models": (".sql", ".py"),
    "seeds": (".csv",),
    "scripts": (".py",),
    "checks": (".sql", ".py"),
}
#: The folder of templates, which are models once they are rendered (templates.py).
TEMPLATES = "models_jinja"
#: The folders of their macros, and of the macros of packages: a folder for each package.
MACROS, PACKAGES = "macros_jinja", "packages_jinja"
_YAML = (".yaml", ".yml")
#: The folders whose YAML files describe sources, models and seeds.
DESCRIBED = ("models", "seeds")
_SKIPPED = frozenset({"__pycache__"})
_PIECE = 1 << 20  #: bytes
_OF_TEMPLATES = {TEMPLATES: ("models", (".sql",))}


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """A file that the project uses, as read.

    ``path`` is relative to the project's folder, with "/" between its parts; ``folder`` is one of
    FOLDERS, and ``parts`` are the folders below it and the file's stem. ``text`` has no BOM. Both
    ``text`` and ``data`` are empty where the file could not be read, which has been reported. The
    ``folder`` of a template is that of models; once it is rendered, ``text`` is what came out, and
    ``rendered`` says how.
    """

    path: str
    folder: str
    parts: tuple[str, ...]
    ending: str
    text: str
    data: bytes
    rendered: Rendered | None = None

    @property
    def name(self) -> str:
        """The file's stem."""
        return self.parts[-1]

    @property
    def is_template(self) -> bool:
        return self.path.startswith(f"{TEMPLATES}/") and self.ending not in _YAML


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """All files of a project, in the order of FOLDERS and of their paths.

    ``places`` holds, for each folder of FOLDERS, the paths of all folders and files (by stem) below
    it, also of those that cannot be used.
    """

    of_steps_and_checks: tuple[ProjectFile, ...]
    of_yaml: tuple[ProjectFile, ...]
    places: Mapping[str, frozenset[tuple[str, ...]]]

    def built(self, name: str) -> str:
        """What models and seeds there are of a name, in words; "" for none."""
        found = [
            it
            for it in self.of_steps_and_checks
            if it.folder in ("models", "seeds") and it.name.lower() == name.lower()
        ]
        several = len(found) > 1
        words = (
            f"`{'.'.join((*it.parts[:-1][:1], it.name)) if several else it.name}` ({it.path})"
            for it in found
        )
        return " or ".join(words)


def read_files(root: str, report: Report, *, templates: bool = False) -> ProjectFiles:
    """All files in the folders of the project at *root*, with *templates* also those of
    models_jinja/. Those that cannot be used are reported."""
    files: list[ProjectFile] = []
    places: dict[str, frozenset[tuple[str, ...]]] = {}
    roots = {folder: (folder, endings) for folder, endings in FOLDERS.items()}
    for top, (folder, endings) in (roots | (_OF_TEMPLATES if templates else {})).items():
        found = sorted(_walk(root, top, (*endings, *_YAML), report))
        every = [parts[:-1] if ending in _YAML else parts for _, parts, ending in found]
        places[folder] = places.get(folder, frozenset()).union(
            parts[:depth] for parts in every for depth in range(1, len(parts) + 1)
        )
        for path, parts, ending in found:
            if ending in _YAML and folder not in DESCRIBED:
                fix = "Put configuration into the comment or docstring at the top of a file."
                report(Problem("this file is ignored", path, fix=fix, severity="warning"))
            elif ending in _YAML and _is_empty(root, path):
                fix = "Fill it, or delete it."
                report(Problem("the file is empty", path, fix=fix, severity="warning"))
            elif (usable := _usable(path, folder, parts, ending, report)) != parts:
                files.append(ProjectFile(path, folder, usable, ending, "", b""))
            else:
                # A file that cannot be read still has a name that others may use.
                text, data = read_file(root, path, report) or ("", b"")
                files.append(ProjectFile(path, folder, parts, ending, text, data))
    return ProjectFiles(
        tuple(file for file in files if file.ending not in _YAML),
        tuple(file for file in files if file.ending in _YAML),
        places,
    )


def read_macro_files(root: str, report: Report) -> tuple[ProjectFile, ...]:
    """The files of macros_jinja/, and those of packages_jinja/. Of a package that has a folder
    `macros`, as dbt installs it, that folder counts alone. An empty file has no macros, and is
    nothing to report: packages have such."""
    files = []
    for folder in (MACROS, PACKAGES):
        found = sorted(_walk(root, folder, (".sql",), report))
        whole = {parts[0] for _, parts, _ in found if parts[1:2] == ("macros",)}
        for path, parts, ending in found:
            other = folder == PACKAGES and parts[0] in whole and parts[1:2] != ("macros",)
            if not other and (read := _read_text(root, path, report)) is not None:
                files.append(ProjectFile(path, folder, parts, ending, *read))
    return tuple(files)


def read_file(root: str, path: str, report: Report) -> tuple[str, bytes] | None:
    """The text and the bytes of a file. None, and a problem, if it cannot be read or is empty."""
    found = _read_text(root, path, report)
    if found is None or found[0].strip():
        return found
    report(Problem("the file is empty", path, fix="Fill it, or delete it."))
    return None


def _read_text(root: str, path: str, report: Report) -> tuple[str, bytes] | None:
    """The text and the bytes of a file. None, and a problem, if it cannot be read."""
    try:
        data = _bytes_of(os.path.join(root, path))
    except OSError as error:
        fix = "Check the file's permissions, and where it links to."
        report(Problem(f"cannot be read: {error.strerror}", path, fix=fix))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        what = f"the file is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}"
        report(Problem(what, path, line, column, "Save the file as UTF-8."))
        return None
    return text, data


def _walk(
    root: str, folder: str, endings: tuple[str, ...], report: Report
) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """The path, parts and ending of each file below *folder* that belongs to a project."""
    pending: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
    while pending:
        parts, around = pending.pop()
        path = "/".join((folder, *parts))
        real = os.path.realpath(os.path.join(root, path))
        if real in around or not os.path.isdir(real):  # a link back to a folder around it
            continue
        try:
            with os.scandir(real) as found:
                entries = [(entry.name, _is_folder(entry)) for entry in found]
        except OSError as error:
            fix = "Check the folder's permissions."
            report(Problem(f"cannot be read: {error.strerror}", path, fix=fix))
            continue
        for name, is_folder in entries:
            if name.startswith(".") or name in _SKIPPED:
                continue
            if is_folder:
                pending.append(((*parts, name), (*around, real)))
                continue
            stem, ending = os.path.splitext(name)
            if _belongs_to_a_project(endings, stem, ending):
                yield f"{path}/{name}", (*parts, stem), ending.lower()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _belongs_to_a_project(endings: tuple[str, ...], stem: str, ending: str) -> bool:
    if ending == ".py" and stem.startswith("_"):  # a module that others import: __init__, _shared
        return False
    return ending.lower() in endings


def _is_empty(root: str, path: str) -> bool:
    try:
        return not _bytes_of(os.path.join(root, path)).strip()
    except OSError:
        return False


def _bytes_of(path: str) -> bytes:
    """What is in a file. OSError for what has no end: a pipe would be waited for."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is a pipe or a device, and no regular file")
        pieces = [os.read(file, found.st_size + 1)]
        if len(pieces[0]) != found.st_size:  # it is growing, or so large that this is a part
            while pieces[-1]:
                pieces.append(os.read(file, _PIECE))
        return b"".join(pieces)
    finally:
        os.close(file)


def _usable(
    path: str, folder: str, parts: tuple[str, ...], ending: str, report: Report
) -> tuple[str, ...]:
    """The parts, if the first and last of them can be names, which the file's step has; otherwise
    such names for it, as the step cannot be built: this is reported."""
    if ending in _YAML:
        return parts
    for name in (parts[0], parts[-1]) if folder == "models" else parts[-1:]:
        if not NAME.match(name):
            fix = "Rename it (`alias:` can give a model's relation any other name)."
            what = f"`{name}` cannot be a name: a name consists of letters, digits and _"
            report(Problem(what, path, fix=fix))
            return tuple(re.sub(r"[^A-Za-z0-9_]", "_", part) for part in parts)
    return parts


def module_reader(root: str) -> Callable[[str], str | None]:
    """A function that returns the text of a Python file by its path below *root*, None if there is
    none. It reads each file once: many models import the same few modules."""

    @cache
    def read(path: str) -> str | None:
        try:
            return _bytes_of(os.path.join(root, path)).decode("utf-8-sig", "replace")
        except OSError:
            return None

    return read
