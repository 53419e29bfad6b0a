"""``*``, ``t.*``, ``* EXCLUDE ...``, DuckDB's ``columns('pattern')`` -> the columns they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlglot import exp

from dagster_models.sql.dialects.type_words import fields_of
from dagster_models.sql.lineage.column_sets import ColumnScope, ColumnSet, Item, Value, digest_of
from dagster_models.sql.lineage.expression_types import Types
from dagster_models.sql.lineage.expressions import Expressions


class Stars:
    def __init__(self, expressions: Expressions, types: Types) -> None:
        self.expressions, self.types, self.dialect = expressions, types, expressions.dialect
        self.name, self.output = expressions.folded, expressions.output

    def star(
        self, node: exp.Expr, scope: ColumnScope, items: Sequence[Item], merge: bool
    ) -> ColumnSet:
        columns: list[tuple[str, Value]] = []
        for item in items:
            for name, value in item.column_set.columns:
                if merge and name.lower() in item.hidden:
                    continue
                if merge:
                    value = item.shown.get(name.lower(), value)
                columns.append((name, value))
        if merge and self.dialect.using_first and scope.merged:
            first = [column for column in columns if column[0].lower() in scope.merged]
            columns = first + [column for column in columns if column not in first]
        closed = all(item.column_set.closed for item in items)
        origins = tuple(key for item in items for key in item.column_set.origins)
        reason = next((item.column_set.reason for item in items if item.column_set.reason), "")
        if not closed and not origins and not reason:
            reason = "it selects * from something outside of the project"
        certain = all(item.column_set.certain for item in items)
        column_set = ColumnSet(tuple(columns), closed, certain, origins, reason)
        return self.modified(node, column_set, scope)

    def modified(self, node: exp.Expr, column_set: ColumnSet, scope: ColumnScope) -> ColumnSet:
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
            return replace(column_set, closed=False, reason="* with a pattern is not followed")
        columns = [
            (renamed.get(name.lower(), name), replaced.get(name.lower(), value))
            for name, value in column_set.columns
            if name.lower() not in left_out
        ]
        return replace(column_set, columns=tuple(columns))

    def qualified_star(self, node: exp.Column, scope: ColumnScope) -> ColumnSet:
        table = node.args.get("table")
        item = scope.item(self.name(table))
        if item is not None:
            return self.star(node.this, scope, [item], merge=False)
        value = self.expressions.column(exp.Column(this=table), scope, silent=True)
        return self.fields(value, value.type if value is not None else "", node, scope)

    def of_value(self, node: exp.Dot, scope: ColumnScope) -> ColumnSet:
        """``(f(x)).*``: the fields of a value."""
        value = self.expressions.read(node.this, scope)
        return self.fields(value, self.types.of(node.this), node, scope)

    def fields(
        self, value: Value | None, type_: str, node: exp.Expr, scope: ColumnScope
    ) -> ColumnSet:
        fields = fields_of(type_)
        if value is None or fields is None:
            return ColumnSet((), False, True, (), f"the columns of {node.sql()} are not known")
        columns = tuple(
            (name, replace(value, type=of, digest=digest_of(value.digest, name)))
            for name, of in fields.items()
        )
        star = node.this if isinstance(node, exp.Column) else node.expression
        return self.modified(star, ColumnSet(columns), scope)

    def matching(self, node: exp.Columns, scope: ColumnScope) -> ColumnSet:
        """DuckDB's ``columns('pattern')``, which means the columns whose names match."""
        pattern = node.this
        every = self.star(exp.Star(), scope, scope.items, merge=True)
        if isinstance(pattern, exp.Star):
            return self.modified(pattern, every, scope)
        try:
            wanted = re.compile(pattern.this if isinstance(pattern, exp.Literal) else "[")
        except re.error:
            return ColumnSet((), False, True, (), "columns(...) is not followed")
        return replace(every, columns=tuple(c for c in every.columns if wanted.search(c[0])))


def _names(nodes: object) -> Iterator[str]:
    for node in nodes if isinstance(nodes, list) else [nodes] if nodes else []:
        yield from (item.name for item in getattr(node, "expressions", None) or [node])
