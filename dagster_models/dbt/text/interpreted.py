"""Templates of which each part is evaluated where it stands, without Jinja's compiler.

Most models that have to be rendered call a few macros, and have an ``if`` or a ``set``. Jinja makes
a module of Python of each text, which takes several times as long as all that it calls. The parts
here are those of Jinja's own lexer and parser, and each operation is that of its environment. A
template with any other tag (``for``, ``macro``, ...) or operator is left to the compiler.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeAlias, cast

from jinja2 import nodes
from jinja2.runtime import Context, new_context

from dagster_models.dbt.text.parts import Part, parts
from dagster_models.dbt.text.template import NOT_READ, environment, expression

Value: TypeAlias = Callable[[Context], Any]
"""Evaluates an expression."""

Statement: TypeAlias = Callable[[Context], Any]
"""Does what a part says, and returns its text; None if it has none."""


class _LeftToJinja(Exception):
    """The template has something that is not read here."""


@lru_cache(maxsize=64)  # both readings of a model are made from one
def interpreted(text: str) -> Callable[[Mapping[str, Any]], str] | None:
    """What renders the text in a context; None if it is left to Jinja."""
    if re.search(r"\{%[-+]?\s*(?:raw|for|macro|call|filter|import|from|include|block)\b", text):
        return None
    try:
        statements, end = _block([*parts(text)], 0)
        if end is not None:
            return None
    except (_LeftToJinja, *NOT_READ):  # of an error, Jinja's own compiler says what it is
        return None

    def render(given: Mapping[str, Any]) -> str:
        context = new_context(environment(), None, {}, cast(dict[str, Any], given), shared=True)
        return "".join(_texts(statements, context))

    return render


def _texts(statements: Sequence[Statement], context: Context) -> Iterator[str]:
    for statement in statements:
        text = statement(context)
        if text is not None:
            yield text


def _block(found: list[Part], nested: int) -> tuple[list[Statement], str | None]:
    """The statements up to the tag that ends the block, which are taken from the list, and that
    tag; None for the end of the text."""
    done: list[Statement] = []
    while found:
        part = found.pop(0)
        if part.kind == "data":
            done.append(_constant(part.text))
        elif part.kind == "variable":
            tree = expression(part.text)
            if tree is None:
                raise _LeftToJinja
            done.append(_output(_value(tree)))
        elif part.kind == "block":
            word = re.match(r"\w*", part.text)
            if word and word[0] in ("elif", "else", "endif") and nested:
                return done, part.text
            is_if = word and word[0] == "if"
            done.append(_if(found, part.text, nested) if is_if else _statement(part.text))
    return done, None


def _if(found: list[Part], head: str, nested: int) -> Statement:
    branches: list[tuple[Value, list[Statement]]] = []
    otherwise: list[Statement] = []
    tag: str | None = head
    while tag is not None and tag != "endif":
        test = None if tag == "else" else _value(_test(tag))
        body, following = _block(found, nested + 1)
        if test is None:
            otherwise = body
            if following != "endif":
                raise _LeftToJinja
        else:
            branches.append((test, body))
        tag = following
    if tag is None:
        raise _LeftToJinja

    def run(context: Context) -> str:
        for test, body in branches:
            if test(context):
                return "".join(_texts(body, context))
        return "".join(_texts(otherwise, context))

    return run


@lru_cache(maxsize=1024)
def _test(tag: str) -> nodes.Expr:
    """The condition of ``if`` or ``elif``."""
    (node,) = environment().parse(f"{{% {tag.removeprefix('el')} %}}{{% endif %}}").body
    assert isinstance(node, nodes.If)
    return cast(nodes.Expr, node.test)


@lru_cache(maxsize=1024)
def _parsed(tag: str) -> nodes.Node:
    body = environment().parse(f"{{% {tag} %}}").body
    if len(body) != 1:
        raise _LeftToJinja
    return body[0]


def _statement(tag: str) -> Statement:
    node = _parsed(tag)
    if isinstance(node, nodes.ExprStmt):
        return _done(_value(node.node))
    if not isinstance(node, nodes.Assign) or not isinstance(node.target, nodes.Name):
        raise _LeftToJinja
    name, value = node.target.name, _value(node.node)

    def assign(context: Context) -> None:
        context.vars[name] = value(context)

    return assign


def _done(value: Value) -> Statement:
    def run(context: Context) -> None:
        value(context)

    return run


def _constant(value: Any) -> Value:
    return lambda _: value


def _output(value: Value) -> Statement:
    return lambda context: str(value(context))


# --- expressions -----------------------------------------------------------------------------


def _value(node: nodes.Node) -> Value:
    make = _MAKERS.get(type(node))
    if make is None:
        raise _LeftToJinja
    return make(node)


def _name(node: Any) -> Value:
    name = node.name
    if name in ("self", "super"):
        raise _LeftToJinja
    return lambda context: context.resolve(name)


def _items(of: Callable[[Iterator[Any]], Any]) -> Callable[[Any], Value]:
    def make(node: Any) -> Value:
        items = [_value(it) for it in node.items]
        return lambda context: of(it(context) for it in items)

    return make


def _dict(node: Any) -> Value:
    items = [(_value(it.key), _value(it.value)) for it in node.items]
    return lambda context: {key(context): value(context) for key, value in items}


def _attribute(node: Any) -> Value:
    value, name, of = _value(node.node), node.attr, environment()
    return lambda context: of.getattr(value(context), name)


def _item(node: Any) -> Value:
    value, key, of = _value(node.node), _value(node.arg), environment()
    return lambda context: of.getitem(value(context), key(context))


def _arguments(node: Any) -> tuple[list[Value], dict[str, Value]]:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _LeftToJinja
    named = {it.key: _value(it.value) for it in node.kwargs}
    if len(named) < len(node.kwargs):  # which Python refuses
        raise _LeftToJinja
    return [_value(it) for it in node.args], named


def _call(node: Any) -> Value:
    function, (args, named) = _value(node.node), _arguments(node)
    call: Any = environment().call  # type: ignore[attr-defined]

    def value(context: Context) -> Any:
        called, given = function(context), [it(context) for it in args]
        return call(context, called, *given, **{key: it(context) for key, it in named.items()})

    return value


def _filter(node: Any) -> Value:
    of = environment()
    if node.node is None or node.name not in of.filters:
        raise _LeftToJinja
    return _applied(node, of.call_filter)


def _is(node: Any) -> Value:
    of = environment()
    if node.name not in of.tests:
        raise _LeftToJinja
    return _applied(node, of.call_test)


def _applied(node: Any, apply: Callable[..., Any]) -> Value:
    value, name, (args, named) = _value(node.node), node.name, _arguments(node)

    def applied(context: Context) -> Any:
        it, given = value(context), [arg(context) for arg in args]
        by_name = {key: arg(context) for key, arg in named.items()}
        return apply(name, it, given, by_name, context, context.eval_ctx)

    return applied


def _compare(node: Any) -> Value:
    if len(node.ops) != 1:
        raise _LeftToJinja
    left, right, compare = _value(node.expr), _value(node.ops[0].expr), _COMPARE[node.ops[0].op]
    return lambda context: compare(left(context), right(context))


def _and(node: Any) -> Value:
    left, right = _value(node.left), _value(node.right)
    return lambda context: left(context) and right(context)


def _or(node: Any) -> Value:
    left, right = _value(node.left), _value(node.right)
    return lambda context: left(context) or right(context)


def _unary(operation: Callable[[Any], Any]) -> Callable[[Any], Value]:
    def make(node: Any) -> Value:
        value = _value(node.node)
        return lambda context: operation(value(context))

    return make


def _choice(node: Any) -> Value:
    if node.expr2 is None:
        raise _LeftToJinja
    test, one, other = _value(node.test), _value(node.expr1), _value(node.expr2)
    return lambda context: one(context) if test(context) else other(context)


def _concat(node: Any) -> Value:
    values = [_value(it) for it in node.nodes]
    return lambda context: "".join(map(str, [it(context) for it in values]))


def _binary(operation: Callable[[Any, Any], Any]) -> Callable[[Any], Value]:
    def make(node: Any) -> Value:
        left, right = _value(node.left), _value(node.right)
        return lambda context: operation(left(context), right(context))

    return make


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
    "in": lambda item, of: item in of,
    "notin": lambda item, of: item not in of,
}
_MAKERS: Mapping[type, Callable[[Any], Value]] = {
    nodes.Const: lambda node: _constant(node.value),
    nodes.Name: _name,
    nodes.List: _items(list),
    nodes.Tuple: _items(tuple),
    nodes.Dict: _dict,
    nodes.Getattr: _attribute,
    nodes.Getitem: _item,
    nodes.Call: _call,
    nodes.Filter: _filter,
    nodes.Test: _is,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _unary(operator.not_),
    nodes.Neg: _unary(operator.neg),
    nodes.CondExpr: _choice,
    nodes.Concat: _concat,
    nodes.Add: _binary(operator.add),
    nodes.Sub: _binary(operator.sub),
    nodes.Mul: _binary(operator.mul),
}
