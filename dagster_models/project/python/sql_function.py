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
