"""Jinja as dbt has it: its tags, its sandbox and its templates.

The sandbox, the extensions and the prefix of macros' names are dbt's, so a text is read as dbt
reads it. https://docs.getdbt.com/reference/dbt-jinja-functions
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, NoReturn

from jinja2 import Template, TemplateSyntaxError, nodes, pass_context
from jinja2.environment import Environment, TemplateExpression
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from dagster_models.dbt.text.errors import NotImportable
from dagster_models.dbt.text.graph import ChosenEntries, entries_of
from dagster_models.dbt.text.variables import VarFunction

#: What Jinja's parser raises for what is no template, is nested too deeply, or has a number of more
#: digits than Python reads.
NOT_READ = (TemplateSyntaxError, RecursionError, ValueError)
#: Before the name of each macro in its module: Jinja does not export names with an underscore.
MACRO = "dbt_macro__"


class _MacroParser(Parser):
    """Macros may have types at their arguments, and get a prefix."""

    def parse_macro(self) -> nodes.Macro:
        return self._macro(MACRO, "endmacro")

    def test_macro(self, end: str) -> nodes.Macro:
        return self._macro(f"{MACRO}test_", end)

    def _macro(self, prefix: str, end: str) -> nodes.Macro:
        node = nodes.Macro(lineno=next(self.stream).lineno)
        node.name = prefix + self.parse_assign_target(name_only=True).name
        self.parse_signature(node)
        node.body = self.parse_statements((f"name:{end}",), drop_needle=True)
        return node

    def parse_signature(self, node: Any) -> None:
        args: list[nodes.Name] = []
        defaults: list[nodes.Expr] = []
        node.args, node.defaults = args, defaults
        self.stream.expect("lparen")
        while self.stream.current.type != "rparen":
            if args:
                self.stream.expect("comma")
            arg = self.parse_assign_target(name_only=True)
            arg.set_ctx("param")
            if self.stream.skip_if("colon"):
                self._type()
            if self.stream.skip_if("assign"):
                defaults.append(self.parse_expression())
            elif defaults:
                self.fail("non-default argument follows default argument")
            args.append(arg)
        self.stream.expect("rparen")

    def _type(self) -> None:
        self.stream.expect("name")
        if self.stream.skip_if("lbracket"):
            while self.stream.current.type != "rbracket":
                self._type()
                self.stream.skip_if("comma")
            self.stream.expect("rbracket")


#: The attributes of plain values that a text may have as they are. The sandbox gives those of
#: `str.format` something around them.
_OF_PLAIN: Mapping[type, frozenset[str]] = {
    of: frozenset(it for it in dir(of) if it[0] != "_" and not it.startswith("format"))
    for of in (str, dict, list)
}
_OF_DICTS = frozenset(dir(dict))
#: What is called as it is, if its function has no attributes.
_PLAIN_CALLS = frozenset({FunctionType, MethodType, BuiltinMethodType, VarFunction})


class _Environment(SandboxedEnvironment):
    """Texts of dbt call macros by the million, so a plain function or method is called without the
    questions whose answers are those of its attributes, as it has none."""

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        kind = type(__obj)
        of = __obj.__func__ if kind is MethodType else __obj
        if kind not in _PLAIN_CALLS or (type(of) is FunctionType and of.__dict__):
            return super().call(__context, __obj, *args, **kwargs)
        if kwargs:
            kwargs.pop("_block_vars", None)
            kwargs.pop("_loop_vars", None)
        try:
            return __obj(*args, **kwargs)
        except StopIteration:  # Jinja's own call does the same
            return __self.undefined("value was undefined because a callable raised StopIteration")

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A method of a text, a dict or a list is safe. An item of a dict is found without asking
        it for an attribute of that name before, if it has none."""
        if attribute in _OF_PLAIN.get(type(obj), ()):
            return getattr(obj, attribute)
        if type(obj) is dict and attribute not in _OF_DICTS and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return _MacroParser(self, source, name, filename).parse()


class _Tags(Extension):
    """dbt's own tags. What a materialization, a snapshot or docs block holds is not a text."""

    tags = {"test", "data_test", "materialization", "snapshot", "docs"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        tag = parser.stream.current.value
        if tag in ("test", "data_test") and isinstance(parser, _MacroParser):
            return parser.test_macro(f"end{tag}")
        node = nodes.Macro(lineno=next(parser.stream).lineno)
        node.name = f"dbt_{tag}__{parser.parse_assign_target(name_only=True).name}"
        node.args, node.defaults = [], []
        while parser.stream.current.type != "block_end":  # `, adapter='duckdb'`
            next(parser.stream)
        node.body = parser.parse_statements((f"name:end{tag}",), drop_needle=True)
        return node


@cache
def environment() -> Environment:
    """dbt's environment. Its filters `as_...` matter only where it reads YAML."""
    made = _Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols", _Tags])
    for name in ("as_text", "as_bool", "as_native", "as_number"):
        made.filters[name] = _as_it_is
    made.filters["is_list"] = _is_list
    made.filters["random"] = _random
    for name, wanted in (("selectattr", True), ("rejectattr", False)):
        made.filters[name] = _by_attribute(made.filters[name], wanted)
    del made.globals["lipsum"]
    return made


def _by_attribute(stock: Callable[..., Any], wanted: bool) -> Callable[..., Any]:
    """Jinja's ``selectattr`` or ``rejectattr``, which compares the attribute itself where it is
    compared with a value. Macros search the graph of all nodes by it, in the hook of each model, so
    that the graph has an index."""

    @pass_context
    def select(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        if named or len(arguments) != 3 or not value or not _is_comparison(*arguments[:2]):
            return stock(context, value, *arguments, **named)
        (name, test, other), environment = arguments, context.environment
        if wanted and test in _EQUAL and (entries := entries_of(value)) is not None:
            chosen = entries.where(name, other)
            if chosen is not None:
                return ChosenEntries(chosen)
            value = entries
        compare: Any = environment.tests[test]
        item_of = environment.getitem
        return (
            it
            for it in value
            if bool(
                compare(it[name] if type(it) is dict and name in it else item_of(it, name), other)
            )
            is wanted
        )

    return select


_EQUAL = frozenset({"equalto", "eq", "=="})


def _is_comparison(name: object, test: object) -> bool:
    """Whether it is one attribute that is compared: `a.b` is an attribute of an attribute, and `0`
    a place in a list."""
    plain = isinstance(name, str) and "." not in name and not name.isdigit()
    return plain and isinstance(test, str) and test in {*_EQUAL, "ne", "!="}


@lru_cache(maxsize=64)
def template(text: str) -> Template:
    """The text as a template. Both readings of a model are made from one."""
    return environment().from_string(text)


def rendered(made: Template, context: Mapping[str, Any]) -> str:
    """As ``Template.render``, which copies the context twice: it has each macro of the project."""
    own = made.new_context(context, shared=True)  # type: ignore[arg-type]
    return "".join(made.root_render_func(own))


def parsed(text: str, path: str) -> nodes.Template:
    """The text as a tree. Raises TemplateSyntaxError for whatever is wrong in it."""
    try:
        return environment().parse(text, path, path)
    except RecursionError:
        raise TemplateSyntaxError("it is nested too deeply", 1, path, path) from None
    except ValueError as error:  # a number of more digits than Python reads
        raise TemplateSyntaxError(str(error), 1, path, path) from None


def compiled(source: str | nodes.Template, path: str) -> Template:
    """A template whose lines bear the name *path* in tracebacks. Raises TemplateSyntaxError."""
    of, tree = environment(), parsed(source, path) if isinstance(source, str) else source
    try:
        code = of.compile(tree, path, path)
    except SyntaxError as error:  # Python refuses what Jinja does not look at, as `f(a=1, a=2)`
        line = _line_of(tree, path, error.lineno or 1)
        raise TemplateSyntaxError(error.msg, line, path, path) from None
    return of.template_class.from_code(of, code, of.make_globals(None))


def has_macros_alone(tree: nodes.Template) -> bool:
    """Whether nothing else in the text asks for anything."""
    others = (it for it in tree.body if not isinstance(it, nodes.Macro))
    return all(isinstance(it, nodes.Output) and _is_data(it) for it in others)


def _is_data(output: nodes.Output) -> bool:
    return all(isinstance(it, nodes.TemplateData) for it in output.nodes)


def _line_of(tree: nodes.Template, path: str, line: int) -> int:
    """The template's line from which Jinja has made a line of Python."""
    written = environment().compile(tree, path, path, raw=True)
    found = re.search(r"^debug_info = '(.+)'$", written, re.MULTILINE)
    pairs = [it.split("=") for it in found[1].split("&")] if found else []
    return max((int(of) for of, at in pairs if int(at) <= line), default=1)


def _as_it_is(value: Any) -> Any:
    return value


def _random(value: Any) -> NoReturn:
    raise NotImportable("`random` gives another text each time")


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


#: `ref('orders')`, as nearly all expressions of models are.
_PLAIN_CALL = re.compile(
    r"""\s*(ref|source|var)\(\s*(?:'([\w.-]+)'|"([\w.-]+)")\s*"""
    r"""(?:,\s*(?:'([\w.-]+)'|"([\w.-]+)")\s*)?\)\s*""",
    re.ASCII,
)


@lru_cache(maxsize=4096)  # texts say `{{ ref('orders') }}` again and again
def expression(text: str) -> nodes.Expr | None:
    """The expression that stands in `{{ }}`; None for more than one, or none."""
    if plain := _PLAIN_CALL.fullmatch(text):
        name, *given = plain.groups()
        constants: list[nodes.Expr] = [nodes.Const(it) for it in given if it is not None]
        return nodes.Call(nodes.Name(name, "load"), constants, [], None, None)
    try:
        body = environment().parse("{{ " + text + " }}").body  # `{{-1}}` is 1
    except NOT_READ:
        return None
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    return body[0].nodes[0]


@lru_cache(maxsize=256)
def compiled_expression(text: str) -> TemplateExpression:
    """What returns the value of an expression in a context."""
    return environment().compile_expression(text, undefined_to_none=False)


def names_in(node: nodes.Node) -> Iterator[str]:
    """The names that an expression reads."""
    if isinstance(node, nodes.Name):
        yield node.name
    for below in node.find_all(nodes.Name):
        yield below.name
