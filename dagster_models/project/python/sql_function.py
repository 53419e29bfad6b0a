"""What the loader asks of whoever runs a user's ``def sql(vars)``: the loader runs no user code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class RunSqlFunction(Protocol):
    """Runs the function ``sql`` of a Python file."""

    def __call__(self, source: str, path: str, root: str, variables: Mapping[str, Any]) -> str:
        """The text that ``sql(variables)`` returns.

        *source* is the file's text, *path* and the project's *root* are absolute. Raises
        SqlSyntaxError, with the line of the user's file, for code that fails or returns no text.
        """


def in_generated(text: str, line: int, what: str) -> str:
    """*what* is wrong in a line of the *text* that ``sql(vars)`` returned, and that line."""
    lines = text.split("\n")
    written = lines[min(line, len(lines)) - 1].strip()
    return f"line {line} of what sql(vars) returned, `{written}`: {what}"
