"""The texts that are written in a Python file: literals, their concatenation, f-strings, and names
that are bound once, to such a text."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from dagster_models.project.python.names import Binding, FileNames

#: Stands for what is only known at run time, in a text that is known otherwise: `f"... = {day}"`. A
#: table whose name contains it is unknown.
HOLE = "dagster_models_hole"


@dataclass(frozen=True, slots=True)
class Text:
    """The value of an expression. ``line``: where its first literal begins."""

    value: str
    line: int
    holes: bool = False  #: parts of it are unknown


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one file."""

    names: FileNames
    _known: dict[Binding, Text | None] = field(default_factory=dict)

    def of(self, node: ast.expr | None) -> Text | None:
        """The text that an expression must have, with a HOLE for each unknown part; None if all of
        it is unknown."""
        if isinstance(node, ast.Constant):
            return Text(node.value, node.lineno) if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            binding = self.names.only_meaning(node)
            return self._bound(binding) if binding is not None else None
        if isinstance(node, ast.JoinedStr):
            return _joined([self._piece(value) for value in node.values], node.lineno)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            operands: list[ast.expr] = []
            rest: ast.expr = node
            while isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Add):
                operands.append(rest.right)
                rest = rest.left
            pieces = [self.of(operand) for operand in [rest, *reversed(operands)]]
            return _joined(pieces, node.lineno)
        return None

    def _bound(self, binding: Binding) -> Text | None:
        if binding not in self._known:
            self._known[binding] = None  # while it is looked for: `q = q + "x"` has no text
            self._known[binding] = self.of(binding.value)
        return self._known[binding]

    def _piece(self, node: ast.expr) -> Text | None:
        if not isinstance(node, ast.FormattedValue):
            return self.of(node)
        return self.of(node.value) if node.conversion == -1 and not node.format_spec else None


def _joined(pieces: Sequence[Text | None], line: int) -> Text | None:
    known = [piece for piece in pieces if piece is not None]
    if pieces and not known:
        return None
    values = [HOLE if piece is None else piece.value for piece in pieces]
    holes = len(known) < len(pieces) or any(piece.holes for piece in known)
    return Text("".join(values), line, holes)
