"""What a SELECT reads several times and joins, with the columns by which it does: a row of the one
may meet rows of all partitions of the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from sqlglot import exp

from dagster_models.core.traced import Name, Origin, Spanning
from dagster_models.sql.lineage.column_sets import ColumnScope
from dagster_models.sql.lineage.expressions import Expressions
from dagster_models.sql.lineage.kept import chain

#: A column, and two items of a FROM, by their numbers, whose rows have the same value in it.
_Shared: TypeAlias = tuple[Origin, int, int]


def self_joins(node: exp.Select, scope: ColumnScope, expressions: Expressions) -> list[Spanning]:
    """The relations that several items of a SELECT's FROM read. The keys of such a join are the
    columns that are equal in all of these items."""
    joins = node.args.get("joins")
    if not joins:
        return []
    reads = [item.column_set.relations for item in scope.items]
    every = frozenset[Name]().union(*reads)
    if sum(map(len, reads)) == len(every):
        return []
    shared = [*_equal(node, scope, expressions), *_of_using(joins, scope)]
    found: list[Spanning] = []
    for name in sorted(every):
        numbers = [number for number, names in enumerate(reads) if name in names]
        if len(numbers) > 1:
            columns = sorted({origin for origin, _, _ in shared if origin[0] == name})
            keys = tuple(it for it in columns if _connects(numbers, it, shared))
            at = expressions.place(joins[min(numbers[1], len(joins)) - 1])
            found.append(("a self join", *at, (name,), keys))
    return found


def _equal(node: exp.Select, scope: ColumnScope, expressions: Expressions) -> Iterator[_Shared]:
    """What ON and WHERE say of the columns that items keep."""
    conditions = (node.args.get("where"), *(join.args.get("on") for join in node.args["joins"]))
    for columns in _equalities(it for it in conditions if it is not None):
        one, two = ({it[:2] for it in expressions.kept(column, scope)} for column in columns)
        numbers = [_number_of(column, scope, expressions) for column in columns]
        yield from ((origin, numbers[0], numbers[1]) for origin in one & two)


def _equalities(conditions: Iterable[exp.Expr]) -> Iterator[tuple[exp.Column, exp.Column]]:
    """The columns, perhaps cast or truncated, that are equal where all of these are true."""
    stack = list(conditions)
    while stack:
        node = stack.pop()
        if isinstance(node, (exp.And, exp.Paren, exp.Where)):
            stack += [it for it in node.args.values() if isinstance(it, exp.Expr)]
        elif isinstance(node, exp.EQ):
            one, two = chain(node.this), chain(node.expression)
            if one is not None and two is not None:
                yield one[0], two[0]


def _number_of(column: exp.Column, scope: ColumnScope, expressions: Expressions) -> int:
    """Which item of the FROM a column is of; -1 for none."""
    prefix, lower = expressions.folded(column.args.get("table")), column.name.lower()
    for number, item in enumerate(scope.items):
        if item.name == prefix if prefix else lower in item.column_set.by_name:
            return number
    return -1


def _of_using(joins: Sequence[exp.Join], scope: ColumnScope) -> Iterator[_Shared]:
    names = {name.name.lower() for join in joins for name in join.args.get("using") or ()}
    if any(join.args.get("method") == "NATURAL" for join in joins):
        names.update(name for item in scope.items for name in item.column_set.by_name)
    for name in names:
        having = [
            (number, value)
            for number, item in enumerate(scope.items)
            for value in item.column_set.by_name.get(name, ())
        ]
        for number, value in having:
            for kept in value.kept:
                yield from ((kept[:2], number, other) for other, _ in having if other != number)


def _connects(numbers: Sequence[int], origin: Origin, shared: Iterable[_Shared]) -> bool:
    """Whether the column is equal in all of these items, each by way of the others."""
    group: Mapping[int, int] = {number: number for number in numbers}
    for of, one, two in shared:
        if of == origin and one in group and two in group:
            old, new = group[one], group[two]
            group = {number: new if it == old else it for number, it in group.items()}
    return len(set(group.values())) == 1
