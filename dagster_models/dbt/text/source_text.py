"""A model's own text in which only names are replaced: readers find their lines and comments.

It takes texts whose Jinja names things (ref, source, var, this, env_var, target) or asks
is_incremental(). What computes (set, for, macros) is for the renderer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError, nodes

from dagster_models.dbt.project.manifest import DbtNode
from dagster_models.dbt.text.context import Seen
from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.parts import Part, parts
from dagster_models.dbt.text.regions import region
from dagster_models.dbt.text.renderer import Renderer
from dagster_models.dbt.text.template import expression, names_in

#: What an expression may name. If a macro of the project has the name, its result is what counts.
_NAMES = frozenset(
    {"ref", "source", "this", "var", "env_var", "target", "run_started_at", "invocation_id"}
)
_IF = re.compile(r"if\s+(not\b\s*)?(\(\s*)?is_incremental\(\s*\)(?(2)\s*\))")


class NotPlain(Exception):
    """A text computes, so it has to be rendered. The reason is what does."""


class SourceText(NamedTuple):
    """A text in our words, and what Jinja makes of the template: in a later build (``later``), and
    in a build in full (``full``). All three have placeholders for relations and variables."""

    ours: str
    later: str
    full: str


def _joined(pieces: list[SourceText]) -> SourceText:
    return SourceText(*map("".join, zip(*pieces, strict=True))) if pieces else _same("")


def _same(text: str) -> SourceText:
    return SourceText(text, text, text)


@dataclass
class _OpenCondition:
    """An `if is_incremental()` that has not ended yet."""

    negated: bool
    branches: list[list[SourceText]] = field(default_factory=lambda: [[]])

    def closed(self) -> SourceText:
        mine, other = (_joined(it) for it in (*self.branches, [])[:2])
        if self.negated:
            mine, other = other, mine
        return SourceText(region(mine.ours, other.ours), mine.later, other.full)


def source_text(node: DbtNode, renderer: Renderer, seen: Seen) -> SourceText:
    """The text, with placeholders for relations and variables. The parts are those of Jinja's own
    lexer, so its engine need not be asked what it makes of them. Raises NotPlain, NotImportable."""
    if re.search(r"\{%-?\s*raw\b", node.raw_code):
        raise NotPlain("raw")
    try:
        found = parts(node.raw_code)
    except TemplateSyntaxError as error:
        raise NotImportable(f"Jinja: {error}") from None
    return _Writing(node, renderer, seen).text(found)


def with_variable_placeholders(node: DbtNode, renderer: Renderer) -> str:
    """The template in which each `{{ var(...) }}` is a placeholder, as far as it stands alone."""
    if "var" in renderer.overridden:
        return node.raw_code

    def placeholder(found: re.Match[str]) -> str:
        tree = expression(found[1])
        call = None if tree is None else _called(tree)
        if call is None or call.name != "var" or not call.constants:
            return found[0]
        try:
            value = _value(found[1].strip(), call, node, renderer, Seen())
        except NotImportable:
            return found[0]
        return renderer.placeholders.variable(str(call.constants[0]), value)

    return re.sub(
        r"\{\{(?!-)((?:(?!\}\}|\{\{).)*?\bvar\b(?:(?!\}\}).)*?)(?<!-)\}\}",
        placeholder,
        node.raw_code,
    )


@dataclass
class _Writing:
    node: DbtNode
    renderer: Renderer
    seen: Seen
    out: list[SourceText] = field(default_factory=list)
    open: _OpenCondition | None = None

    def text(self, found: Sequence[Part]) -> SourceText:
        for index, part in enumerate(found):
            if part.kind == "data":
                self._add(_same(part.text))
            elif part.kind == "comment":
                self._add(SourceText(_comment(part.text), "", ""))
            elif part.kind == "variable":
                self._variable(part.text, found, index)
            else:
                self._block(part.text)
        if self.open is not None:
            raise NotPlain("if is_incremental() without an end")
        return _joined(self.out)

    def _add(self, text: SourceText) -> None:
        if self.open is None and self.out and self.out[-1] is _CONFIG:
            self.out.pop()
            before = self.out[-1].ours if self.out else "\n"
            if before.rpartition("\n")[2].strip() == "":  # it has a line of its own
                text = text._replace(ours=re.sub(r"\A[ \t]*\n", "", text.ours))
        (self.out if self.open is None else self.open.branches[-1]).append(text)

    def _variable(self, text: str, found: Sequence[Part], index: int) -> None:
        tree = expression(text)
        if tree is None:
            raise NotPlain(_shown(text))
        call = _called(tree)
        if call and call.name == "config" and "config" not in self.renderer.overridden:
            if self.open is not None:
                raise NotPlain("config() within a condition")
            self.out.append(_CONFIG)
            if index + 1 == len(found) or found[index + 1].kind != "data":
                self._add(_same(""))
            return
        names = set(names_in(tree))
        if bad := names - _NAMES:
            raise NotPlain(f"{sorted(bad)[0]}()" if call else _shown(text))
        if isinstance(tree, nodes.Name) and tree.name == "this":
            written = self.renderer.placeholders.written(self.node.unique_id)
            rendered = str(self.renderer.context(self.node, False, self.seen)["this"])
            self._add(SourceText(written, rendered, rendered))
            return
        value = _value(text, call, self.node, self.renderer, self.seen)
        if call and call.name == "var" and call.constants:
            self._add(_same(self.renderer.placeholders.variable(str(call.constants[0]), value)))
        else:
            self._add(_same(str(value)))

    def _block(self, text: str) -> None:
        text = " ".join(text.split())
        if found := _IF.fullmatch(text):
            if self.open is not None or "is_incremental" in self.renderer.overridden:
                raise NotPlain("nested conditions")
            if self.node.materialized != "incremental":
                raise NotPlain("is_incremental() in a model that is not incremental")
            self._add(_same(""))
            self.open = _OpenCondition(negated=bool(found[1]))
        elif text == "else" and self.open is not None and len(self.open.branches) == 1:
            self.open.branches.append([])
        elif text == "endif" and self.open is not None:
            done, self.open = self.open, None
            self._add(done.closed())
        else:
            raise NotPlain(f"`{text.split(' ')[0]}`")


#: Stands for config() until it is known what is behind it.
_CONFIG = SourceText("", "", "")


class _Call(NamedTuple):
    """A call of a function. ``constants``: its arguments that have no name, () if one of them is no
    constant; ``is_plain``: these are all."""

    name: str
    constants: tuple[object, ...]
    is_plain: bool


def _called(tree: nodes.Expr) -> _Call | None:
    if not isinstance(tree, nodes.Call) or not isinstance(tree.node, nodes.Name):
        return None
    try:
        constants = tuple(it.as_const() for it in tree.args)
    except nodes.Impossible:
        return _Call(tree.node.name, (), False)
    named = tree.kwargs or tree.dyn_args is not None or tree.dyn_kwargs is not None
    return _Call(tree.node.name, constants, not named)


def _value(text: str, call: _Call | None, node: DbtNode, renderer: Renderer, seen: Seen) -> Any:
    """The value of an expression, which is this call or none. Raises NotImportable."""
    if call is not None and call.is_plain:
        return renderer.called(call.name, call.constants, node, seen)
    return renderer.value(text, node, False, seen)


def _comment(text: str) -> str:
    text = text.strip("-").strip().replace("*/", "* /").replace("/*", "/ *")
    return f"/* {text} */" if text else ""


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:40]}..."
