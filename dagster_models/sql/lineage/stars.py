"""``*``, ``t.*``, ``* EXCLUDE ...``, DuckDB's ``columns('pattern')`` -> the columns they give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlglot import exp

from dagster_models.sql.dialects.type_words import fields_of
from dagster_models.sql.lineage.column_sets import Item, Scope, Shape, Value, digest_of
from dagster_models.sql.lineage.expression_types import Types
from dagster_models.sql.lineage.expressions import Expressions


class Stars:
    def __init__(self, expressions: Expressions, types: Types) -> None:
        self.expressions, self.types, self.dialect = expressions, types, expressions.dialect
        self.name, self.output = expressions.folded, expressions.output

    def star(self, node: exp.Expr, scope: Scope, items: Sequence[Item], merge: bool) -> Shape:
        columns: list[tuple[str, Value]] = []
        for item in items:
            for name, value in item.shape.columns:
                if merge and name.lower() in item.hidden:
                    continue
                if merge:
                    value = item.shown.get(name.lower(), value)
                columns.append((name, value))
        if merge and self.dialect.using_first and scope.merged:
            first = [column for column in columns if column[0].lower() in scope.merged]
            columns = first + [column for column in columns if column not in first]
        closed = all(item.shape.closed for item in items)
        origins = tuple(key for item in items for key in item.shape.origins)
        reason = next((item.shape.reason for item in items if item.shape.reason), "")
        if not closed and not origins and not reason:
            reason = "it selects * from something outside of the project"
        certain = all(item.shape.certain for item in items)
        shape = Shape(tuple(columns), closed, certain, origins, reason)
        return self.modified(node, shape, scope)

    def modified(self, node: exp.Expr, shape: Shape, scope: Scope) -> Shape:
        """``*`` with EXCLUDE, REPLACE and RENAME."""
        args = node.args
        left_out = {name.lower() for name in _names(args.get("except_"))}
        renamed: dict[str, str] = {}
        for alias in args.get("rename") or ():
            if isinstance(alias, exp.Alias):
                renamed[alias.this.name.lower()] = self.output(alias.args["alias"])
        replaced: dict[str, Value] = {}
        for alias in args.get("replace") or ():
            value = self.expressions.read(alias.this, scope)
            replaced[alias.alias.lower()] = replace(value, type=self.types.of(alias.this))
        if any(args.get(key) for key in ("ilike", "like", "except")):
            return replace(shape, closed=False, reason="* with a pattern is not followed")
        columns = [
            (renamed.get(name.lower(), name), replaced.get(name.lower(), value))
            for name, value in shape.columns
            if name.lower() not in left_out
        ]
        return replace(shape, columns=tuple(columns))

    def qualified_star(self, node: exp.Column, scope: Scope) -> Shape:
        table = node.args.get("table")
        item = scope.item(self.name(table))
        if item is not None:
            return self.star(node.this, scope, [item], merge=False)
        value = self.expressions.column(exp.Column(this=table), scope, silent=True)
        return self.fields(value, value.type if value is not None else "", node, scope)

    def of_value(self, node: exp.Dot, scope: Scope) -> Shape:
        """``(f(x)).*``: the fields of a value."""
        value = self.expressions.read(node.this, scope)
        return self.fields(value, self.types.of(node.this), node, scope)

    def fields(self, value: Value | None, type_: str, node: exp.Expr, scope: Scope) -> Shape:
        fields = fields_of(type_)
        if value is None or fields is None:
            return Shape((), False, True, (), f"the columns of {node.sql()} are not known")
        columns = tuple(
            (name, replace(value, type=of, digest=digest_of(value.digest, name)))
            for name, of in fields.items()
        )
        star = node.this if isinstance(node, exp.Column) else node.expression
        return self.modified(star, Shape(columns), scope)

    def matching(self, node: exp.Columns, scope: Scope) -> Shape:
        """DuckDB's ``columns('pattern')``, which gives the columns whose names match."""
        pattern = node.this
        every = self.star(exp.Star(), scope, scope.items, merge=True)
        if isinstance(pattern, exp.Star):
            return self.modified(pattern, every, scope)
        try:
            wanted = re.compile(pattern.this if isinstance(pattern, exp.Literal) else "[")
        except re.error:
            return Shape((), False, True, (), "columns(...) is not followed")
        return replace(every, columns=tuple(c for c in every.columns if wanted.search(c[0])))


def _names(nodes: object) -> Iterator[str]:
    for node in nodes if isinstance(nodes, list) else [nodes] if nodes else []:
        yield from (item.name for item in getattr(node, "expressions", None) or [node])
