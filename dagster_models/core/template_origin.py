"""Where the text of a rendered template comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TemplateOrigin:
    """How the text of a template came about. ``lines``: of each line of the text, the line of the
    template that wrote it. ``target``: the target that the template asked about, "" if it asked
    about none: its text is right there alone. ``variables``: those that it asked for."""

    lines: tuple[int, ...]
    target: str = ""
    variables: tuple[str, ...] = ()

    def line_of(self, line: int) -> int:
        """The line of the template for a *line* of the text; both count from 1."""
        return self.lines[min(line, len(self.lines)) - 1] if self.lines else line
