"""Which line of a template wrote each line of its text.

The template is compiled with a mark before each piece of its own text and before each expression.
The marks come out with the text and are cut out of it. A piece whose text Jinja hands to code
(`set` blocks, `call`, `filter`, macros, recursive loops) has none, so no code ever sees a mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jinja2 import Template, nodes

from dagster_models.dbt.text.regions import REGION_MARKS
from dagster_models.dbt.text.template import compiled

_MARK = re.compile("\ue000(\\d+)\ue001")


def marked_template(tree: nodes.Template, path: str) -> Template:
    """The template, whose text will have marks, as *tree* then has. Raises TemplateSyntaxError."""
    _mark(tree.body)
    return compiled(tree, path)


def without_marks(text: str) -> tuple[str, tuple[int, ...]]:
    """The text, and for each of its lines the line of the template. A line that begins within the
    text of a macro is of the line that calls it."""
    plain, lines, line = [], [], 1
    for row in text.split("\n"):
        first, *rest = _MARK.split(row)  # between two texts: the line of the second one
        pieces = [(line, first), *zip(map(int, rest[::2]), rest[1::2], strict=True)]
        line = pieces[-1][0]
        plain.append("".join(piece for _, piece in pieces))
        lines.append(next((of for of, piece in pieces if piece.strip()), line))
    return "\n".join(plain), tuple(lines)


def lines_of_both(
    merged: str,
    later: tuple[str, Sequence[int]],
    full: tuple[str, Sequence[int]],
) -> tuple[int, ...]:
    """The lines of a text with regions (dbt.text.regions), which holds the lines of both its
    readings in their order: each reading is given as its text and its lines."""
    sides = [_Side(*later), _Side(*full)]
    lines, line = [], 1
    for row in merged.split("\n"):
        written = REGION_MARKS.sub("", row).strip()
        found = [side.take(written) for side in sides] if written else []
        line = next((it for it in found if it is not None), line)
        lines.append(line)
    return tuple(lines)


class _Side:
    """The lines of one reading that are still to come."""

    def __init__(self, text: str, lines: Sequence[int]) -> None:
        rows = zip((row.strip() for row in text.split("\n")), lines, strict=True)
        self._rows = [(row, line) for row, line in rows if row]
        self._at = 0

    def take(self, written: str) -> int | None:
        """The template's line of the next row, if it is this one."""
        if self._at < len(self._rows) and self._rows[self._at][0] == written:
            self._at += 1
            return self._rows[self._at - 1][1]
        return None


def _mark(body: Sequence[nodes.Node]) -> None:
    for node in body:
        if isinstance(node, nodes.Output):
            node.nodes = [it for piece in node.nodes for it in _marked(piece)]
        elif isinstance(node, nodes.If):
            _mark(node.body)
            _mark(node.elif_)
            _mark(node.else_)
        elif isinstance(node, nodes.For) and not node.recursive:
            _mark(node.body)
            _mark(node.else_)
        elif isinstance(node, nodes.With):
            _mark(node.body)


def _marked(piece: nodes.Expr) -> Iterator[nodes.Expr]:
    if not isinstance(piece, nodes.TemplateData):
        yield nodes.TemplateData(f"\ue000{piece.lineno}\ue001", lineno=piece.lineno)
        yield piece
        return
    rows = piece.data.split("\n")
    marked = (f"\ue000{piece.lineno + at}\ue001{row}" for at, row in enumerate(rows))
    yield nodes.TemplateData("\n".join(marked), lineno=piece.lineno)
