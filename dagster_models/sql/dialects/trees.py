"""What most dialects do with the parts of a syntax tree."""

from __future__ import annotations

from sqlglot import exp

from dagster_models.sql.dialects.dialect import Output


def name_of_column(node: exp.Expr, output: Output) -> str:
    """A column and a field of a struct keep their names; those of other expressions differ too
    much between dialects to be guessed."""
    if isinstance(node, exp.Column):
        return output(node.this)
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Identifier):
        return output(node.expression)
    return ""


def classes(*nodes: type[exp.Expr]) -> frozenset[type[exp.Expr]]:
    """These classes of nodes, and all that are made of them."""
    below = (classes(*node.__subclasses__()) for node in nodes)
    return frozenset(nodes).union(*below)


#: `unnest(x) + 1`. In most dialects such a function has a name that sqlglot knows.
SPREADING = classes(exp.Explode, exp.Unnest, exp.Posexplode, exp.Inline, exp.Stack)
