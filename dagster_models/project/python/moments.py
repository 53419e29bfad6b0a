"""When a call of a file runs, compared with others, as far as the text says it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TypeAlias

from dagster_models.project.python.names import FUNCTIONS, FileNames

_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_COMPOUND = (*_LOOPS, ast.If, ast.Try, ast.With, ast.AsyncWith, ast.Match, ast.IfExp, ast.BoolOp)
_ALSO_LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

_Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Moment:
    """``function`` is the place of the function whose call runs it, ``place`` its own. ``blocks``
    are the parts of statements around it there, from outside to inside. ``once``: it does not run
    twice; ``loops``: it is in a loop."""

    function: _Place = (0, 0)
    blocks: tuple[tuple[_Place, str], ...] = ()
    place: _Place = (0, 0)
    loops: bool = False
    once: bool = False

    def is_after(self, other: Moment) -> bool:
        """Whether *other* has always run before."""
        around = self.blocks[: len(other.blocks)] == other.blocks
        return self.function == other.function and around and other.place < self.place

    def is_before(self, other: Moment) -> bool:
        """Whether *other* never runs before."""
        return self.function == other.function and self.once and self.place < other.place


def moment_of(node: ast.Call, names: FileNames) -> Moment:
    """The moment of a call."""
    blocks: list[tuple[_Place, str]] = []
    function: ast.AST | None = None
    loops = False
    inside: ast.AST = node
    for above in names.above(node):
        if isinstance(above, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            function = above
            break
        if isinstance(above, (*_COMPOUND, *_ALSO_LOOPS)):
            blocks.append((_place(above), _branch(above, inside)))
        loops = loops or isinstance(above, (*_LOOPS, *_ALSO_LOOPS))
        inside = above
    is_model = isinstance(function, FUNCTIONS) and function.name == "model"
    once = not loops and (function is None or is_model)
    return Moment(_place(function), tuple(reversed(blocks)), _place(node), loops, once)


def _place(node: ast.AST | None) -> _Place:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _branch(statement: ast.AST, child: ast.AST) -> str:
    """The part of a statement that *child* is in: the branches of an `if` are two."""
    for name, value in ast.iter_fields(statement):
        if value is child:
            return name
        if isinstance(value, list) and child in value:
            # Of these only one is run; of `a and b`, the first may be all.
            numbered = isinstance(child, (ast.ExceptHandler, ast.match_case, ast.expr))
            return f"{name} {value.index(child)}" if numbered else name
    return ""
