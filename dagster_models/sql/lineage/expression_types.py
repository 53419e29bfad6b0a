"""The type of an expression, where it is sure: casts, columns, the choice between equal types, and
what the dialect has rules for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Dialect
from dagster_models.sql.dialects.type_words import unified


class Types:
    """The types of one query's expressions. ``known``: id of a column or subquery -> its type."""

    def __init__(self, dialect: Dialect, known: Mapping[int, str]) -> None:
        self.dialect, self.known = dialect, known

    def of(self, node: exp.Expr | None) -> str:
        """The type of *node*, LITERAL for a whole number; "" if it is not sure."""
        if node is None:
            return ""
        if id(node) in self.known:
            return self.known[id(node)]
        kind = type(node)
        if kind in _SAME:
            return self.of(node.this)
        if kind in (exp.Cast, exp.TryCast):
            return self.dialect.type_name(node.args["to"])
        if kind in _CHOICES:
            return self.choice(_CHOICES[kind](node))
        if kind is exp.Window:
            return self.of(node.this)
        return self.dialect.expression_type(self.of, node)

    def choice(self, nodes: Sequence[exp.Expr | None]) -> str:
        given = [node for node in nodes if node is not None and not isinstance(node, exp.Null)]
        return unified([self.of(node) for node in given])


#: These have the type of what they hold.
_SAME = {exp.Paren, exp.Alias, exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.Distinct}


def _branches(node: exp.Expr) -> list[exp.Expr | None]:
    return [*(item.args.get("true") for item in node.args.get("ifs", [])), node.args.get("default")]


_CHOICES: dict[type[exp.Expr], Callable[[exp.Expr], list[exp.Expr | None]]] = {
    exp.Case: _branches,
    exp.If: lambda node: [node.args.get("true"), node.args.get("false")],
    exp.Coalesce: lambda node: [node.this, *node.expressions],
    exp.Greatest: lambda node: [node.this, *node.expressions],
    exp.Least: lambda node: [node.this, *node.expressions],
}
