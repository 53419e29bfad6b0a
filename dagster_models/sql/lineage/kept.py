"""Which upstream columns an expression keeps as they are, or only truncates: a partition of the one
is then a partition of the other. And what looks beyond a partition: windows, DISTINCT ON, LIMIT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sqlglot import exp

from dagster_models.core.partitions import UNITS, coarser
from dagster_models.core.traced import Kept, Name, Spanning

#: What a cast leaves of a time. A cast to any other type does not keep a column.
_CASTS = {
    exp.DType.DATE: "day",
    exp.DType.DATE32: "day",
    exp.DType.DATETIME: "",
    exp.DType.TIMESTAMP: "",
    exp.DType.TIMESTAMPNTZ: "",
    exp.DType.TIMESTAMPTZ: "",
}


def chain(node: exp.Expr) -> tuple[exp.Column, str] | None:
    """The column of which *node* is a chain of casts and truncations, and the unit that they leave.
    None for any other expression."""
    unit = ""
    while not isinstance(node, exp.Column):
        if isinstance(node, (exp.Cast, exp.TryCast)):
            to = node.args["to"].this
            if to not in _CASTS:
                return None
            unit = coarser(unit, _CASTS[to])
        elif isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)):
            word = node.args["unit"].name.lower() if node.args.get("unit") else "?"
            if word not in UNITS or node.args.get("zone") is not None:
                return None
            unit = coarser(unit, word)
        elif not isinstance(node, (exp.Paren, exp.Alias)):
            return None
        node = node.this
    return None if isinstance(node.this, exp.Star) else (node, unit)


def truncated(kept: frozenset[Kept], unit: str) -> frozenset[Kept]:
    return frozenset((key, name, coarser(unit, before)) for key, name, before in kept)


def spanning(
    node: exp.Expr,
    names: Iterable[Name],
    kept: Callable[[exp.Expr], frozenset[Kept]],
    place: Callable[[exp.Expr], tuple[int, int]],
) -> Iterator[Spanning]:
    """What *node*, a window or a SELECT, has that looks at rows of *names* beyond the groups that
    its keys make. ``kept``: what an expression keeps."""
    keys: list[exp.Expr] = []
    at = node
    if isinstance(node, exp.Window):
        if isinstance(node.args.get("alias"), exp.Expr) and not node.args.get("partition_by"):
            return  # `over w`: the definition of w is read by itself
        what, keys = "a window function", list(node.args.get("partition_by") or ())
    elif (limit := node.args.get("limit") or node.args.get("offset")) is not None:
        what, at = "LIMIT", limit
    elif (on := getattr(node.args.get("distinct"), "args", {}).get("on")) is not None:
        what, keys, at = "DISTINCT ON", on.expressions if isinstance(on, exp.Tuple) else [on], on
    else:
        return
    line, column = place(at)
    columns = {(key, name) for item in keys for key, name, _ in kept(item)}
    yield (what, line, column, tuple(sorted(set(names))), tuple(sorted(columns)))
