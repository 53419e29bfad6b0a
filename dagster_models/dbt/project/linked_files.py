"""Files that sources of dbt-duckdb are, where a relative path leads to them.

Such a path begins at the folder of the dbt project in dbt, and at that of dagster_models.yaml here.
So a link in our folder leads to the file, or to the folder that it is in, and the text of a model
stays as dbt has it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dagster_models.dbt.project.manifest import DbtSource, Manifest

_LITERAL = re.compile(r"'((?:[^']|'')+)'")
#: The first argument of a function: a path, or a list of them.
_ARGUMENT = re.compile(rf"\(\s*(?:\[(?:\s*{_LITERAL.pattern}\s*,?)+|{_LITERAL.pattern})")
_PATTERN = frozenset("*?[{")
#: Folders in which the files of a project of ours are looked for, and what a run writes.
_OURS = frozenset(
    {
        *("models", "seeds", "checks", "scripts", "unit_tests", "kinds", "target"),
        *("models_jinja", "macros_jinja", "packages_jinja"),
    }
)


def links_to_files(manifest: Manifest, into: Path) -> dict[str, str]:
    """Name in our folder -> what the link there holds, for each source whose file is led to."""
    if into == manifest.root:  # where the files are
        return {}
    return {
        name: os.path.relpath(manifest.root / name, into)
        for source in manifest.sources.values()
        if source.relation.is_file
        for name in _names(source, manifest.root)
        if _is_free(into / name, manifest.root / name)
    }


def is_led_to(source: DbtSource, manifest: Manifest, into: Path) -> bool:
    """Whether each path of a source leads to dbt's file from our folder, too."""
    names = list(_names(source, manifest.root))
    paths = list(_relative_paths(source))
    return len(names) == len(paths) and all(
        _is_free(into / name, manifest.root / name) for name in names
    )


def _names(source: DbtSource, root: Path) -> Iterator[str]:
    """The first part of each relative path that can be a link."""
    for path in _relative_paths(source):
        name = PurePosixPath(os.path.normpath(path)).parts[0]
        is_name = not name.startswith(".") and not _PATTERN & {*name}
        if is_name and name not in _OURS and (root / name).exists():
            yield name


def _relative_paths(source: DbtSource) -> Iterator[str]:
    written = source.relation.written or ""
    argument = _ARGUMENT.search(written)
    for path in _LITERAL.findall(argument[0] if argument else written):
        if not path.startswith(("/", "~")) and "://" not in path:
            yield path


def _is_free(link: Path, file: Path) -> bool:
    """Whether the link can be made, or leads there already."""
    return not os.path.lexists(link) or (link.exists() and link.samefile(file))
