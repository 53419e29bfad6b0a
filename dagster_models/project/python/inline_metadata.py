"""The block ``# /// script`` of a Python file: the packages that it needs (PEP 723).

https://packaging.python.org/en/latest/specifications/inline-script-metadata/
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from typing import Any

from dagster_models.core.environments import Environment
from dagster_models.errors import Problem
from dagster_models.project.problems import Report

#: As in the specification.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_START = re.compile(r"(?m)^#[ \t]*///[ \t]*script[ \t]*$")
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_FIX = 'Write it as "# /// script", lines that begin with "# ", and "# ///".'


def read_environment(text: str, path: str, report: Report) -> Environment | None:
    """The environment of the script at *path*; None if it names none, or after an error."""
    text = text.replace("\r\n", "\n")
    start = _START.search(text)
    if start is None:
        return None
    at = _line(text, start.start())
    blocks = [it for it in _BLOCK.finditer(text) if it["type"] == "script"]
    if len(blocks) != 1:
        what = "a second block of dependencies" if blocks else "the block of dependencies is broken"
        line = _line(text, blocks[1].start()) if blocks else at
        report(Problem(what, path, line, 1, "Keep one." if blocks else _FIX))
        return None
    first = _line(text, blocks[0].start())
    lines = blocks[0]["content"].splitlines()
    try:
        return _environment(_toml("\n".join(line[2:] for line in lines)), first)
    except ValueError as error:
        place = _TOML_PLACE.search(str(error))
        line, column = (int(place[1]), int(place[2]) + 2) if place else (_line_of(error, lines), 1)
        what = f"the script's dependencies: {_TOML_PLACE.sub('', str(error))}"
        report(Problem(what, path, first + line, column, ""))
        return None


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _line_of(error: ValueError, lines: list[str]) -> int:
    """The line of the block that holds what the error is about, which it has as its argument."""
    about = str(error.args[1]) if len(error.args) > 1 else "\0"
    return next((at for at, line in enumerate(lines, 1) if about in line), 0)


class _WrongBlock(ValueError):
    """``about``: what is wrong, as it stands in the block."""

    def __init__(self, message: str, about: str) -> None:
        super().__init__(message, about)

    def __str__(self) -> str:
        return str(self.args[0])


def _toml(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _environment(values: Mapping[str, Any], line: int) -> Environment:
    """Raises ValueError for what is no environment of this interpreter."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    unknown = set(values) - {"dependencies", "requires-python", "tool"}
    if unknown:
        raise _WrongBlock(f"`{min(unknown)}` is not a key of the block", min(unknown))
    wanted, version = str(values.get("requires-python", "")), platform.python_version()
    try:
        if not SpecifierSet(wanted).contains(version, prereleases=True):
            raise _WrongBlock(
                f"it needs Python {wanted}, and the project runs on {version}", "requires-python"
            )
    except InvalidSpecifier as error:
        raise _WrongBlock(f"{wanted!r} is not a range of versions", "requires-python") from error
    listed = values.get("dependencies", [])
    if not isinstance(listed, list) or not all(isinstance(it, str) for it in listed):
        raise _WrongBlock("`dependencies` must be a list of texts", "dependencies")
    needed = []
    for text in listed:
        try:
            name = Requirement(text).name
        except InvalidRequirement as error:
            problem = str(error).splitlines()[0]
            raise _WrongBlock(f"{text!r} is not a requirement: {problem}", text) from error
        # `uv run` needs it in the list. In a run it is the version that runs the project.
        if re.sub(r"[-_.]+", "-", name).lower() != "dagster-models":
            needed.append(text)
    return Environment(tuple(sorted(needed)), line)
